package dev.cube.cli.bench;

import dev.cube.sdk.CubeException;
import dev.cube.sdk.Sandbox;
import dev.cube.sdk.SandboxOptions;
import dev.cube.sdk.SnapshotInfo;
import dev.cube.sdk.SnapshotOptions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Each round is the first snapshot of a sandbox of its own, since a later one writes only what has changed. */
@Command(name = "dirty", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures the snapshot of a sandbox that has written to its memory, and creation from it.",
        description = {"dirty MB: what was written to disk for the snapshot;",
            "snapshot: until it is usable; durable: until it is on disk;",
            "stopped: the guest's clock stood still; stall: no process in the guest was held up for longer;",
            "create: one sandbox from the snapshot. MB are 2^20 bytes."})
final class DirtyBench extends Benchmark {
    private static final Duration DURABLE_WITHIN = Duration.ofMinutes(5);
    private static final Duration WATCHED_BEFORE = Duration.ofMillis(1000);
    private static final Duration WATCHED_AFTER = Duration.ofMillis(700);
    private static final double BYTES_PER_MEBIBYTE = 1 << 20;

    @Option(names = {"-d", "--dirty"}, paramLabel = "MB", defaultValue = "0", converter = Count.FromZero.class,
            description = "write so much to /dev/shm in the sandbox first (default: ${DEFAULT-VALUE})")
    private int dirty;

    @Mixin
    private final RoundsOption rounds = new RoundsOption(3);

    private record Sample(double dirty, double usable, double durable, Stall stall, double create) {}

    @Override
    Measured measure(Target target) throws InterruptedException {
        List<Sample> samples = new ArrayList<>();
        List<String> failures = new ArrayList<>();
        try (Progress progress = target.progress("dirty " + dirty + " MB", rounds.value())) {
            once(target);
            for (int i = 0; i < rounds.value(); i++) {
                try {
                    samples.add(once(target));
                } catch (CubeException e) {
                    failures.add(e.getMessage());
                }
                progress.step();
            }
        }
        return report(samples, failures);
    }

    private Sample once(Target target) throws InterruptedException {
        try (SandboxGroup group = target.idleSandboxes(1);
                SnapshotGroup snapshots = new SnapshotGroup(target.client())) {
            Sandbox sandbox = group.sandboxes().getFirst();
            GuestMemory.write(sandbox, dirty);
            target.settle(1);
            try (StallMeter meter = StallMeter.start(sandbox)) {
                Thread.sleep(WATCHED_BEFORE);
                long start = System.nanoTime();
                SnapshotInfo taken = snapshots.add(sandbox.snapshot(SnapshotOptions.DEFAULT));
                long usable = System.nanoTime();
                SnapshotInfo written = target.client().snapshots().awaitDurable(taken.id(), DURABLE_WITHIN);
                long durable = System.nanoTime();
                Thread.sleep(WATCHED_AFTER);
                return new Sample(
                        written.writtenBytes() == null ? Double.NaN : written.writtenBytes() / BYTES_PER_MEBIBYTE,
                        (usable - start) / 1e6, (durable - start) / 1e6, meter.between(start, usable, durable),
                        create(target, taken));
            }
        }
    }

    private static double create(Target target, SnapshotInfo snapshot) {
        SandboxOptions options = target.options().withTemplate(snapshot.id());
        long start = System.nanoTime();
        Sandbox sandbox = target.client().create(options);
        double created = Load.millisSince(start);
        sandbox.close();
        return created;
    }

    private Measured report(List<Sample> samples, List<String> failures) {
        Statistics written = of(samples, Sample::dirty);
        Statistics usable = of(samples, Sample::usable);
        Statistics durable = of(samples, Sample::durable);
        Statistics stopped = of(samples, sample -> sample.stall.stopped());
        Statistics stall = of(samples, sample -> sample.stall.total());
        Statistics usual = of(samples, sample -> sample.stall.usualGap());
        Statistics create = of(samples, Sample::create);
        Map<String, Object> figures = new LinkedHashMap<>();
        figures.put("dirtyMB", written);
        figures.put("usable", usable);
        figures.put("durable", durable);
        figures.put("stopped", stopped);
        figures.put("stall", stall);
        figures.put("gapBefore", usual);
        figures.put("create", create);
        return Measured.of(
                new BenchTable("written MB", "dirty MB", "rounds", "snapshot avg", "min", "p95", "max", "durable avg",
                        "stopped avg", "stall avg", "gap before", "create avg")
                        .row(dirty, written.avg(), usable.count(), usable.avg(), usable.min(), usable.p95(),
                                usable.max(), durable.avg(), stopped.avg(), stall.avg(), usual.avg(), create.avg()),
                BenchReport.of("dirty", Map.of("dirtyMB", dirty, "rounds", rounds.value()), figures, failures));
    }

    private static Statistics of(List<Sample> samples, ToDoubleFunction<Sample> figure) {
        return Statistics.of(samples.stream().mapToDouble(figure).filter(value -> !Double.isNaN(value)).boxed()
                .toList());
    }
}
