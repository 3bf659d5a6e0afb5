package dev.cube.cli.bench;

import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Mixin;

/** A benchmark whose rounds do the same thing to {@code -c} sandboxes at once. */
abstract class RoundBenchmark extends Benchmark {
    @Mixin
    private final ConcurrencyOption concurrency = new ConcurrencyOption(1);

    @Mixin
    private final RoundsOption rounds = new RoundsOption(5);

    private final String name;

    RoundBenchmark(String name) {
        this.name = name;
    }

    int concurrency() {
        return concurrency.value();
    }

    /** What rounds have in common is made here and goes when this is closed. */
    interface Rounds extends AutoCloseable {
        void run(Walls.Collector walls) throws InterruptedException;

        @Override
        default void close() {}
    }

    abstract Rounds prepare(Target target) throws InterruptedException;

    @Override
    final Measured measure(Target target) throws InterruptedException {
        var walls = new Walls.Collector();
        try (Rounds prepared = prepare(target); Progress progress = target.progress(name, rounds.value())) {
            prepared.run(new Walls.Collector());
            for (int i = 0; i < rounds.value(); i++) {
                prepared.run(walls);
                progress.step();
            }
        }
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("concurrency", concurrency());
        parameters.put("rounds", rounds.value());
        return walls.measured(name, concurrency(), concurrency(), parameters);
    }
}
