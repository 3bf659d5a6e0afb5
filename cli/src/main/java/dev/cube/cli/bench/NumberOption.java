package dev.cube.cli.bench;

import picocli.CommandLine.Option;

/** The option {@code -n} of benchmarks that count sandboxes. */
final class NumberOption {
    @Option(names = {"-n", "--number"}, paramLabel = "N", converter = Count.FromOne.class,
            description = "sandboxes in all (default: ${DEFAULT-VALUE})")
    private int number;

    NumberOption(int byDefault) {
        number = byDefault;
    }

    int value() {
        return number;
    }
}
