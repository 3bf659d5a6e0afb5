package dev.cube.cli.bench;

import dev.cube.sdk.SandboxOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** What every measurement takes. */
final class CommonOptions {
    /** Long enough for any measurement; what a killed benchmark leaves behind ends by itself. */
    private static final Duration SANDBOX_TIMEOUT = Duration.ofMinutes(30);

    @Option(names = {"-t", "--template"}, paramLabel = "TEMPLATE", defaultValue = "${env:CUBE_TEMPLATE_ID}",
            description = "ID or name of the template (default: CUBE_TEMPLATE_ID)")
    private String template;

    @Option(names = {"-o", "--output"}, paramLabel = "FILE", description = "write the figures there too, as JSON")
    private Path output;

    @Option(names = "--no-tui", description = "plain lines instead of a progress line that is drawn over")
    private boolean plain;

    @Option(names = "--no-header", description = "leave out the table's headings")
    private boolean noHeader;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    SandboxOptions sandbox() {
        if (template == null || template.isBlank()) {
            throw error("no template: set CUBE_TEMPLATE_ID (./cube env prints it) or give --template");
        }
        return SandboxOptions.of(template)
                .withTimeout(SANDBOX_TIMEOUT)
                .withMetadata(Map.of("made-by", "cube-bench"));
    }

    Progress progress(String what, int total) {
        return Progress.start(command.commandLine().getErr(), what, total, plain);
    }

    /** Prints the table, and writes the report where it was asked for. */
    void report(BenchTable table, BenchReport report) {
        var out = command.commandLine().getOut();
        out.print(table.text(!noHeader));
        out.flush();
        Optional.ofNullable(output).ifPresent(report::write);
    }

    void note(String text) {
        var err = command.commandLine().getErr();
        err.println(text);
        err.flush();
    }

    void require(boolean condition, String message) {
        if (!condition) {
            throw error(message);
        }
    }

    private ParameterException error(String message) {
        return new ParameterException(command.commandLine(), message);
    }
}
