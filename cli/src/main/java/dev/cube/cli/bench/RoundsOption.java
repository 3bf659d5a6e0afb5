package dev.cube.cli.bench;

import picocli.CommandLine.Option;

/** The option {@code -n} of benchmarks that count rounds. */
final class RoundsOption {
    @Option(names = {"-n", "--rounds"}, paramLabel = "ROUNDS", converter = Count.FromOne.class,
            description = "rounds, after one that does not count (default: ${DEFAULT-VALUE})")
    private int rounds;

    RoundsOption(int byDefault) {
        rounds = byDefault;
    }

    int value() {
        return rounds;
    }
}
