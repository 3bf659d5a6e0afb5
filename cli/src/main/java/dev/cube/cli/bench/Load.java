package dev.cube.cli.bench;

import dev.cube.sdk.CubeException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;

/** The same operation many times, so many at once. */
final class Load {
    /** One operation; what it throws as a {@link CubeException} counts as a failure. */
    @FunctionalInterface
    interface Operation<T> {
        T run();
    }

    /**
     * What came of it.
     *
     * @param wall     from the first operation's start to the last one's end
     * @param failures messages, one for each failed operation
     */
    record Outcome<T>(List<T> results, List<String> failures, Duration wall) {
        double wallMillis() {
            return millis(wall);
        }

        double successPercent() {
            int all = results.size() + failures.size();
            return all == 0 ? Double.NaN : 100.0 * results.size() / all;
        }
    }

    private Load() {}

    static <T> Outcome<T> run(int concurrency, int count, Progress progress, Operation<T> operation) {
        var results = new ConcurrentLinkedQueue<T>();
        var failures = new ConcurrentLinkedQueue<String>();
        var next = new AtomicInteger();
        long start = System.nanoTime();
        try (ExecutorService workers = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> running = new ArrayList<>();
            for (int i = 0; i < Math.min(concurrency, count); i++) {
                running.add(workers.submit(() -> {
                    while (next.getAndIncrement() < count) {
                        try {
                            results.add(operation.run());
                        } catch (CubeException e) {
                            failures.add(e.getMessage());
                        }
                        progress.step();
                    }
                }));
            }
            for (Future<?> worker : running) {
                worker.get();
            }
        } catch (ExecutionException e) {
            throw new IllegalStateException("the benchmark failed: " + e.getCause(), e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        }
        return new Outcome<>(List.copyOf(results), List.copyOf(failures), Duration.ofNanos(System.nanoTime() - start));
    }

    /** An operation on each of these, so many at once. */
    static <S, T> Outcome<T> each(int concurrency, List<S> items, Progress progress, Function<S, T> operation) {
        var queue = new ConcurrentLinkedQueue<>(items);
        return run(concurrency, items.size(), progress, () -> operation.apply(queue.remove()));
    }

    static double millis(Duration duration) {
        return duration.toNanos() / 1e6;
    }

    static double millisSince(long nanoTime) {
        return (System.nanoTime() - nanoTime) / 1e6;
    }
}
