package dev.cube.cli.bench;

import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Where a measurement's figures go. */
final class FigureOptions {
    @Option(names = {"-o", "--output"}, paramLabel = "FILE", description = "write the figures there too, as JSON")
    private Path output;

    @Option(names = "--no-header", description = "leave out the table's headings")
    private boolean noHeader;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    /** The exit status says whether something failed. */
    int report(Measured measured) {
        var out = command.commandLine().getOut();
        out.print(measured.table().text(!noHeader));
        out.flush();
        Optional.ofNullable(output).ifPresent(measured.report()::write);
        var err = command.commandLine().getErr();
        measured.notes().forEach(err::println);
        err.flush();
        return measured.report().failures().isEmpty() ? 0 : 1;
    }
}
