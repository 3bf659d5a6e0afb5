package dev.cube.cli.bench;

import dev.cube.sdk.FileEntry;
import dev.cube.sdk.Sandbox;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** What an idle sandbox costs in memory. */
@Command(name = "density", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures the memory of an idle sandbox.",
        description = {"It is the host's available memory before, less after, divided by the number. Then each of them is asked for"
                + " the status of /, while all are alive.",
            "Run it on the server's own machine, with nothing else going on."})
final class DensityBench extends Benchmark {
    private static final Path MEMINFO = Path.of("/proc/meminfo");

    @Mixin
    private final NumberOption number = new NumberOption(20);

    @Mixin
    private final ConcurrencyOption concurrency = new ConcurrencyOption(5);

    @Option(names = "--settle", paramLabel = "SECONDS", defaultValue = "10", converter = Count.FromZero.class,
            description = "wait so long before each look at the memory (default: ${DEFAULT-VALUE})")
    private int settle;

    @Override
    Measured measure(Target target) throws InterruptedException {
        // The first one brings the template's memory into the page cache and this program's classes into its own.
        target.client().create(target.options()).close();
        Thread.sleep(Duration.ofSeconds(settle));
        double before = availableMB();
        Load.Outcome<Sandbox> outcome;
        try (Progress progress = target.progress("created", number.value())) {
            outcome = Load.run(concurrency.value(), number.value(), progress,
                    () -> target.client().create(target.options()));
        }
        try (SandboxGroup sandboxes = new SandboxGroup(outcome.results())) {
            Thread.sleep(Duration.ofSeconds(settle));
            double after = availableMB();
            try (Progress progress = target.progress("answered", sandboxes.sandboxes().size())) {
                Load.Outcome<FileEntry> answers = Load.each(concurrency.value(), sandboxes.sandboxes(), progress,
                        sandbox -> sandbox.files().stat("/"));
                return report(sandboxes.sandboxes().size(), before, after, answers.results().size(),
                        Stream.of(outcome.failures(), answers.failures()).flatMap(List::stream).toList());
            }
        }
    }

    private Measured report(int made, double before, double after, int answering,
            List<String> failures) {
        double perSandbox = (before - after) / made;
        Map<String, Object> figures = new LinkedHashMap<>();
        figures.put("availableBeforeMB", before);
        figures.put("availableAfterMB", after);
        figures.put("perSandboxMB", perSandbox);
        figures.put("answering", answering);
        return Measured.of(
                new BenchTable("n", "before MB", "after MB", "per sandbox MB", "answering")
                        .row(made, before, after, perSandbox, answering),
                BenchReport.of("density", Map.of("number", number.value(), "settleSeconds", settle), figures, failures));
    }

    private static double availableMB() {
        try {
            return Files.readAllLines(MEMINFO).stream()
                    .filter(line -> line.startsWith("MemAvailable:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                    .mapToDouble(kibibytes -> kibibytes * 1024 / 1e6)
                    .findFirst()
                    .orElseThrow(() -> new IllegalStateException(MEMINFO + " does not say how much is available"));
        } catch (IOException e) {
            throw new IllegalStateException("cannot read %s: %s".formatted(MEMINFO, e.getMessage()), e);
        }
    }
}
