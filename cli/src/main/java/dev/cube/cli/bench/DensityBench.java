package dev.cube.cli.bench;

import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.Sandbox;
import dev.cube.sdk.SandboxOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** What an idle sandbox costs in memory. */
@Command(name = "density", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures the memory of an idle sandbox.",
        description = {"It is the host's available memory before, less after, divided by the number.",
            "Run it on the server's own machine, with nothing else going on."})
final class DensityBench implements Callable<Integer> {
    private static final Path MEMINFO = Path.of("/proc/meminfo");

    @Option(names = {"-n", "--number"}, paramLabel = "N", defaultValue = "20",
            description = "sandboxes (default: ${DEFAULT-VALUE})")
    private int number;

    @Option(names = {"-c", "--concurrency"}, paramLabel = "C", defaultValue = "5",
            description = "created at a time (default: ${DEFAULT-VALUE})")
    private int concurrency;

    @Option(names = "--settle", paramLabel = "SECONDS", defaultValue = "10",
            description = "wait so long before each look at the memory (default: ${DEFAULT-VALUE})")
    private int settle;

    @Mixin
    private CommonOptions common;

    @Override
    public Integer call() throws IOException, InterruptedException {
        common.require(number >= 1 && concurrency >= 1, "--number and --concurrency must be at least 1");
        SandboxOptions options = common.sandbox();
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            // The first one brings the template's memory into the page cache and this program's classes into its own.
            client.create(options).close();
            Thread.sleep(Duration.ofSeconds(settle));
            long before = availableKib();
            Load.Outcome<Sandbox> outcome;
            try (Progress progress = common.progress("created", number)) {
                outcome = Load.run(concurrency, number, progress, () -> client.create(options));
            }
            try {
                Thread.sleep(Duration.ofSeconds(settle));
                report(outcome, before, availableKib());
            } finally {
                outcome.results().forEach(DensityBench::end);
            }
            return outcome.failures().isEmpty() ? 0 : 1;
        }
    }

    private static void end(Sandbox sandbox) {
        try {
            sandbox.close();
        } catch (CubeException e) {
            // It ends with its timeout; the other ones are still to be ended.
        }
    }

    private void report(Load.Outcome<Sandbox> outcome, long beforeKib, long afterKib) {
        double perSandbox = (beforeKib - afterKib) * 1024 / 1e6 / outcome.results().size();
        Map<String, Object> figures = new LinkedHashMap<>();
        figures.put("availableBeforeMB", beforeKib * 1024 / 1e6);
        figures.put("availableAfterMB", afterKib * 1024 / 1e6);
        figures.put("perSandboxMB", perSandbox);
        common.report(
                new BenchTable("n", "before MB", "after MB", "per sandbox MB")
                        .row(outcome.results().size(), beforeKib * 1024 / 1e6, afterKib * 1024 / 1e6, perSandbox),
                BenchReport.of("density", Map.of("number", number, "settleSeconds", settle), figures,
                        outcome.failures()));
        outcome.failures().stream().findFirst().ifPresent(message -> common.note(
                "%d failed, the first with: %s".formatted(outcome.failures().size(), message)));
    }

    private static long availableKib() throws IOException {
        return Files.readAllLines(MEMINFO).stream()
                .filter(line -> line.startsWith("MemAvailable:"))
                .map(line -> line.replaceAll("\\D", ""))
                .mapToLong(Long::parseLong)
                .findFirst()
                .orElseThrow(() -> new IOException(MEMINFO + " does not say how much memory is available"));
    }
}
