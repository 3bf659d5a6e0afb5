package dev.cube.cli.bench;

import picocli.CommandLine.Option;

/** The option {@code -c} of benchmarks. */
final class ConcurrencyOption {
    @Option(names = {"-c", "--concurrency"}, paramLabel = "C", converter = Count.FromOne.class,
            description = "sandboxes at a time (default: ${DEFAULT-VALUE})")
    private int concurrency;

    ConcurrencyOption(int byDefault) {
        concurrency = byDefault;
    }

    int value() {
        return concurrency;
    }
}
