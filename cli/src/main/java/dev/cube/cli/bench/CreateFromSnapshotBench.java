package dev.cube.cli.bench;

import dev.cube.sdk.Sandbox;
import dev.cube.sdk.SandboxOptions;
import dev.cube.sdk.SnapshotInfo;
import dev.cube.sdk.SnapshotOptions;
import picocli.CommandLine.Command;

@Command(name = "create-from-snapshot", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures the creation of C sandboxes at once from one durable snapshot.")
final class CreateFromSnapshotBench extends RoundBenchmark {
    CreateFromSnapshotBench() {
        super("create-from-snapshot");
    }

    @Override
    Rounds prepare(Target target) throws InterruptedException {
        try (SandboxGroup source = target.idleSandboxes(1)) {
            SnapshotInfo snapshot = source.sandboxes().getFirst().snapshot(SnapshotOptions.DEFAULT.untilDurable());
            return new FromSnapshot(target, snapshot, concurrency());
        }
    }

    private record FromSnapshot(Target target, SnapshotInfo snapshot, int concurrency) implements Rounds {
        @Override
        public void run(Walls.Collector walls) throws InterruptedException {
            target.settle(concurrency);
            SandboxOptions options = target.options().withTemplate(snapshot.id());
            Load.Outcome<Sandbox> made = walls.add("create",
                    Load.run(concurrency, concurrency, Progress.NONE, () -> target.client().create(options)));
            new SandboxGroup(made.results()).close();
        }

        @Override
        public void close() {
            target.client().snapshots().delete(snapshot.id());
        }
    }
}
