package dev.cube.cli.bench;

import java.util.concurrent.Callable;
import picocli.CommandLine.Mixin;

/** A measurement as a command. What it is to measure is in its options; where, in a {@link Target}. */
abstract class Benchmark implements Callable<Integer> {
    @Mixin
    private TargetOptions of;

    @Mixin
    private FigureOptions figures;

    abstract Measured measure(Target target) throws InterruptedException;

    @Override
    public final Integer call() throws InterruptedException {
        try (Target target = of.target()) {
            target.warmUpClient();
            return figures.report(measure(target));
        }
    }
}
