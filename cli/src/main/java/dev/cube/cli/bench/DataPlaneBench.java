package dev.cube.cli.bench;

import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.Sandbox;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** What the calls into a sandbox cost. */
@Command(name = "data-plane", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures commands, files and code in sandboxes.",
        description = {"One call after the other in one sandbox, then runCode in many sandboxes at once.",
            "JVM: processor time of the server's own process for each call."})
final class DataPlaneBench extends Benchmark {
    private static final String SMALL = "/home/user/small";
    private static final String LARGE = "/home/user/large";
    private static final int MIB = 1 << 20;

    @Mixin
    private final NumberOption number = new NumberOption(200);

    @Option(names = {"-w", "--warmup"}, paramLabel = "W", defaultValue = "50", converter = Count.FromZero.class,
            description = "calls of each kind first, which do not count (default: ${DEFAULT-VALUE})")
    private int warmup;

    @Option(names = {"-s", "--sandboxes"}, paramLabel = "S", defaultValue = "50", converter = Count.FromZero.class,
            description = "sandboxes that run code at once, 0 for none (default: ${DEFAULT-VALUE})")
    private int sandboxes;

    @Option(names = "--rounds", paramLabel = "R", defaultValue = "5", converter = Count.FromOne.class,
            description = "runs in each of them (default: ${DEFAULT-VALUE})")
    private int rounds;

    @Option(names = "--large", paramLabel = "MIB", defaultValue = "100", converter = Count.FromOne.class,
            description = "size of the large file (default: ${DEFAULT-VALUE})")
    private int largeMib;

    @Option(names = "--large-number", paramLabel = "N", defaultValue = "5", converter = Count.FromOne.class,
            description = "how often it is read (default: ${DEFAULT-VALUE})")
    private int largeNumber;

    private final BenchTable table =
            new BenchTable("ms", "n", "avg", "min", "P50", "P90", "P95", "P99", "max", "JVM");
    private final Map<String, Object> figures = new LinkedHashMap<>();
    private final List<String> failures = new ArrayList<>();

    @Override
    Measured measure(Target target) {
        try (var server = new ServerProcessorTime(CubeConfig.fromEnvironment())) {
            try (Sandbox sandbox = target.client().create(target.options())) {
                inOne(target, sandbox, server);
            }
            if (sandboxes > 0) {
                inMany(target, server);
            }
        }
        return Measured.of(table, BenchReport.of("data-plane", Map.of("number", number.value(), "warmup", warmup,
                "sandboxes", sandboxes, "rounds", rounds, "largeMiB", largeMib, "largeNumber", largeNumber), figures,
                failures));
    }

    private void inOne(Target target, Sandbox sandbox, ServerProcessorTime server) {
        byte[] small = new byte[1024];
        measure(target, "run('true')", number.value(), server, () -> run(sandbox, "true"));
        measure(target, "write 1 KiB", number.value(), server, () -> sandbox.files().write(SMALL, small));
        measure(target, "read 1 KiB", number.value(), server, () -> sandbox.files().read(SMALL));
        measure(target, "runCode('1+1')", number.value(), server, () -> runCode(sandbox));
        run(sandbox, "head -c %dM /dev/zero > %s".formatted(largeMib, LARGE));
        Statistics large = measure(target, "read %d MiB".formatted(largeMib), largeNumber, server, () -> readLarge(sandbox));
        figures.put("readMBPerSecond", (double) largeMib * MIB / 1e6 / (large.p50() / 1e3));
    }

    private void inMany(Target target, ServerProcessorTime server) {
        BlockingQueue<Sandbox> free = new ArrayBlockingQueue<>(sandboxes);
        Load.Outcome<Sandbox> made;
        try (Progress progress = target.progress("created", sandboxes)) {
            made = Load.run(4, sandboxes, progress, () -> {
                Sandbox sandbox = target.client().create(target.options());
                free.add(sandbox);
                runCode(sandbox);
                return sandbox;
            });
        }
        try {
            failures.addAll(made.failures());
            int count = made.results().size();
            free.retainAll(made.results());
            if (count > 0) {
                measure(target, "runCode in %d at once".formatted(count), count, count * rounds, 0, server, () -> inNext(free));
            }
        } finally {
            try (Progress progress = target.progress("deleted", sandboxes)) {
                Load.run(4, made.results().size(), progress, () -> {
                    free.remove().close();
                    return true;
                });
            }
        }
    }

    private static void inNext(BlockingQueue<Sandbox> free) {
        Sandbox sandbox = free.remove();
        try {
            runCode(sandbox);
        } finally {
            free.add(sandbox);
        }
    }

    private Statistics measure(Target target, String name, int count, ServerProcessorTime server, Runnable call) {
        return measure(target, name, 1, count, Math.min(warmup, count), server, call);
    }

    private Statistics measure(Target target, String name, int concurrency, int count, int before, ServerProcessorTime server,
            Runnable call) {
        try (Progress progress = target.progress(name + ", warm-up", before)) {
            Load.run(concurrency, before, progress, () -> timed(call));
        }
        Load.Outcome<Double> outcome;
        double serverMillis = server.millis();
        try (Progress progress = target.progress(name, count)) {
            outcome = Load.run(concurrency, count, progress, () -> timed(call));
        }
        serverMillis = (server.millis() - serverMillis) / count;
        failures.addAll(outcome.failures());
        Statistics s = Statistics.of(outcome.results());
        figures.put(name, s);
        figures.put(name + ", JVM ms", serverMillis);
        table.row(name, s.count(), s.avg(), s.min(), s.p50(), s.p90(), s.p95(), s.p99(), s.max(), serverMillis);
        return s;
    }

    private static double timed(Runnable call) {
        long start = System.nanoTime();
        call.run();
        return Load.millisSince(start);
    }

    private static void run(Sandbox sandbox, String command) {
        int status = sandbox.commands().run(command).exitCode();
        if (status != 0) {
            throw new CubeException("'%s' ended with status %d".formatted(command, status));
        }
    }

    private static void runCode(Sandbox sandbox) {
        String text = sandbox.runCode("1+1").text();
        if (!"2".equals(text)) {
            throw new CubeException("1+1 is " + text);
        }
    }

    private void readLarge(Sandbox sandbox) {
        try (InputStream content = sandbox.files().open(LARGE)) {
            long size = content.transferTo(OutputStream.nullOutputStream());
            if (size != (long) largeMib * MIB) {
                throw new CubeException("the large file has %d bytes".formatted(size));
            }
        } catch (IOException e) {
            throw new CubeException("the large file cannot be read: " + e.getMessage(), e);
        }
    }
}
