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
import java.util.function.Supplier;

/** Starts copies of a sandbox, several at a time. */
final class CopyStarts {
    /** What became of one. */
    sealed interface Outcome {
        record Started(Sandbox sandbox) implements Outcome {}

        record Failed(RuntimeException reason) implements Outcome {}
    }

    private CopyStarts() {}

    /**
     * Starts {@code count} copies, at most {@code concurrency} at a time; returns when each is started or has failed. Nothing else
     * can be started then.
     */
    static List<Outcome> start(FrozenSandbox frozen, Map<String, String> environment, int count, int concurrency) {
        List<Outcome> outcomes = new ArrayList<>(startAbreast(frozen, environment, count - 1, concurrency));
        outcomes.add(outcome(() -> frozen.startLast(RandomNames.sandboxId(), environment)));
        return outcomes;
    }

    private static List<Outcome> startAbreast(
            FrozenSandbox frozen, Map<String, String> environment, int count, int concurrency) {
        var turns = new Semaphore(concurrency);
        List<Future<Outcome>> starts = new ArrayList<>();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int i = 0; i < count; i++) {
                starts.add(threads.submit(() -> {
                    turns.acquireUninterruptibly();
                    try {
                        return outcome(() -> frozen.start(RandomNames.sandboxId(), environment));
                    } finally {
                        turns.release();
                    }
                }));
            }
        }
        return starts.stream().map(CopyStarts::result).toList();
    }

    private static Outcome outcome(Supplier<Sandbox> start) {
        try {
            return new Outcome.Started(start.get());
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
