package dev.cube.cli.bench;

import dev.cube.sdk.SnapshotInfo;
import dev.cube.sdk.SnapshotOptions;
import java.time.Duration;
import picocli.CommandLine.Command;

/** Snapshots of idle sandboxes: each the first one of a new sandbox, since a later one writes less. */
@Command(name = "snapshot", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures snapshots of C idle sandboxes at once.",
        description = {"usable: until sandboxes can be made from it;",
            "durable: until it would survive the death of the machine. Taken of sandboxes of their own."})
final class SnapshotBench extends RoundBenchmark {
    private static final Duration DURABLE_WITHIN = Duration.ofMinutes(2);

    SnapshotBench() {
        super("snapshot");
    }

    @Override
    Rounds prepare(Target target) {
        return walls -> {
            round(target, "usable", SnapshotOptions.DEFAULT, walls);
            round(target, "durable", SnapshotOptions.DEFAULT.untilDurable(), walls);
        };
    }

    private void round(Target target, String name, SnapshotOptions options, Walls.Collector walls)
            throws InterruptedException {
        try (SandboxGroup idle = target.idleSandboxes(concurrency());
                SnapshotGroup snapshots = new SnapshotGroup(target.client())) {
            Load.Outcome<SnapshotInfo> taken = walls.add(name, Load.each(concurrency(), idle.sandboxes(), Progress.NONE,
                    sandbox -> snapshots.add(sandbox.snapshot(options))));
            for (SnapshotInfo snapshot : taken.results()) {
                target.client().snapshots().awaitDurable(snapshot.id(), DURABLE_WITHIN);
            }
        }
    }
}
