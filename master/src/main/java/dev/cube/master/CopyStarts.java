package dev.cube.master;

import dev.cube.cubelet.FrozenSandbox;
import dev.cube.cubelet.Sandbox;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;

/** Starts copies of a sandbox, several at a time. */
final class CopyStarts {
    /** What became of one. */
    sealed interface Outcome {
        record Started(Sandbox sandbox) implements Outcome {}

        record Failed(RuntimeException reason) implements Outcome {}
    }

    private CopyStarts() {}

    /** Starts {@code count} copies, at most {@code concurrency} at a time; returns when each is started or has failed. */
    static List<Outcome> start(FrozenSandbox frozen, Map<String, String> environment, int count, int concurrency) {
        if (count == 1) {
            return List.of(start(frozen, environment));
        }
        var turns = new Semaphore(concurrency);
        List<Future<Outcome>> starts = new ArrayList<>();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int i = 0; i < count; i++) {
                starts.add(threads.submit(() -> {
                    turns.acquireUninterruptibly();
                    try {
                        return start(frozen, environment);
                    } finally {
                        turns.release();
                    }
                }));
            }
        }
        return starts.stream().map(CopyStarts::result).toList();
    }

    private static Outcome start(FrozenSandbox frozen, Map<String, String> environment) {
        try {
            return new Outcome.Started(frozen.start(RandomNames.sandboxId(), environment));
        } catch (RuntimeException e) {
            return new Outcome.Failed(e);
        }
    }

    private static Outcome result(Future<Outcome> start) {
        try {
            return start.get();
        } catch (ExecutionException | InterruptedException e) {
            throw new IllegalStateException("a task that catches all failed, or was still running", e);
        }
    }
}
