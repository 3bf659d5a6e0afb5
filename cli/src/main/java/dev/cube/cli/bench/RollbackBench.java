package dev.cube.cli.bench;

import dev.cube.sdk.Sandbox;
import dev.cube.sdk.SnapshotInfo;
import dev.cube.sdk.SnapshotOptions;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import picocli.CommandLine.Command;

@Command(name = "rollback", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures the rollback of C sandboxes at once, each to its own durable snapshot.")
final class RollbackBench extends RoundBenchmark {
    RollbackBench() {
        super("rollback");
    }

    @Override
    Rounds prepare(Target target) throws InterruptedException {
        var rounds = new OfSandboxes(target, target.idleSandboxes(concurrency()), new SnapshotGroup(target.client()),
                new ConcurrentHashMap<>());
        try {
            for (Sandbox sandbox : rounds.sandboxes.sandboxes()) {
                SnapshotInfo snapshot = sandbox.snapshot(SnapshotOptions.DEFAULT.untilDurable());
                rounds.snapshotOf.put(sandbox.id(), rounds.snapshots.add(snapshot).id());
            }
            return rounds;
        } catch (RuntimeException e) {
            rounds.close();
            throw e;
        }
    }

    private record OfSandboxes(Target target, SandboxGroup sandboxes, SnapshotGroup snapshots,
            ConcurrentMap<String, String> snapshotOf) implements Rounds {
        @Override
        public void run(Walls.Collector walls) throws InterruptedException {
            target.settle(sandboxes.sandboxes().size());
            int all = sandboxes.sandboxes().size();
            walls.add("rollback", Load.each(all, sandboxes.sandboxes(), Progress.NONE, sandbox -> {
                sandbox.rollback(snapshotOf.get(sandbox.id()));
                return sandbox;
            }));
        }

        @Override
        public void close() {
            sandboxes.close();
            snapshots.close();
        }
    }
}
