package dev.cube.cli.bench;

import dev.cube.sdk.CubeException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Every measurement that the reference published one of, beside it. */
@Command(name = "report", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures everything, and writes it beside the reference's published figures.",
        description = {"Writes report.html, report.md and report.json to a directory. Run it on the server's own machine, "
            + "with nothing else going on."})
final class ReportCommand implements Callable<Integer> {
    /** Between two measurements, so that one does not pay for the other. */
    private static final int SETTLE_AS_FOR = 10;

    @Option(names = {"-d", "--directory"}, paramLabel = "DIR", defaultValue = "bench-report",
            description = "write to it (default: ${DEFAULT-VALUE})")
    private Path directory;

    @Option(names = "--name", paramLabel = "NAME", defaultValue = "ours",
            description = "heading of the column (default: ${DEFAULT-VALUE})")
    private String name;

    @Option(names = "--quick", description = "fewer rounds and sizes")
    private boolean quick;

    @Option(names = "--only", paramLabel = "BENCHMARK", split = ",",
            description = "only these, such as create, snapshot, dirty")
    private List<String> only = List.of();

    @Option(names = "--merge", paramLabel = "FILE",
            description = "put the figures of another report.json beside; can be repeated")
    private List<Path> merged = List.of();

    @Option(names = "--from", paramLabel = "FILE",
            description = "measure nothing: take the figures of this report.json")
    private Path from;

    @Mixin
    private TargetOptions of;

    @Spec
    private CommandSpec command;

    @Override
    public Integer call() throws InterruptedException, IOException {
        ReportPlan plan = ReportPlan.load();
        List<ReportRun> others = merged.stream().map(ReportRun::read).toList();
        Files.createDirectories(directory);
        ReportRun run = from == null ? measure(commands(plan)) : ReportRun.read(from);
        run.write(directory.resolve("report.json"));
        var comparison = new Comparison(plan, Stream.concat(Stream.of(run), others.stream()).toList());
        Files.writeString(directory.resolve("report.html"), new ReportPage(comparison).html());
        Files.writeString(directory.resolve("report.md"), new ReportMarkdown(comparison).text());
        PrintWriter out = command.commandLine().getOut();
        out.println("written: " + directory.resolve("report.html").toAbsolutePath().normalize());
        comparison.faults().forEach(fault -> out.println("failed: " + fault));
        out.flush();
        return comparison.faults().isEmpty() ? 0 : 1;
    }

    private List<String> commands(ReportPlan plan) {
        List<String> known = plan.sections().stream().map(ReportPlan.Section::benchmark).distinct().toList();
        only.stream().filter(benchmark -> !known.contains(benchmark)).findFirst().ifPresent(unknown -> {
            throw new ParameterException(command.commandLine(), "'%s' is not one of %s".formatted(unknown,
                    String.join(", ", known)));
        });
        return plan.commands(quick, benchmark -> only.isEmpty() || only.contains(benchmark));
    }

    private ReportRun measure(List<String> commands) throws InterruptedException {
        PrintWriter out = command.commandLine().getOut();
        List<ReportRun.Entry> entries = new ArrayList<>();
        try (Target target = of.target()) {
            var machine = MachineFacts.of(target.client().serverInfo());
            target.warmUpClient();
            for (String line : commands) {
                out.println("cube-bench " + line);
                out.flush();
                target.settle(SETTLE_AS_FOR);
                entries.add(measure(target, line, out));
            }
            return new ReportRun(name, Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(), machine, entries);
        }
    }

    private static ReportRun.Entry measure(Target target, String line, PrintWriter out) throws InterruptedException {
        try {
            Measured measured = CubeBench.parse(line.split(" ")).measure(target);
            out.println(measured.table().text(true));
            measured.notes().forEach(out::println);
            out.flush();
            return ReportRun.Entry.of(line, measured.report());
        } catch (CubeException | IllegalStateException e) {
            out.println(e.getMessage());
            out.flush();
            return new ReportRun.Entry(line, null, e.getMessage());
        }
    }
}
