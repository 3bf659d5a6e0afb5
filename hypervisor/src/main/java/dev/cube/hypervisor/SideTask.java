package dev.cube.hypervisor;

import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** Work that another thread does meanwhile. Thread-safe. */
final class SideTask<T> {
    /** The work. */
    @FunctionalInterface
    interface Work<T> {
        T run() throws IOException;
    }

    private final CompletableFuture<T> result;

    private SideTask(CompletableFuture<T> result) {
        this.result = result;
    }

    static <T> SideTask<T> start(Work<T> work) {
        return new SideTask<>(CompletableFuture.supplyAsync(() -> {
            try {
                return work.run();
            } catch (IOException e) {
                throw new CompletionException(e);
            }
        }, Thread::startVirtualThread));
    }

    static <T> SideTask<T> done(T value) {
        return new SideTask<>(CompletableFuture.completedFuture(value));
    }

    /** @throws IOException with the failure of the work as its cause */
    T await() throws IOException {
        try {
            return result.join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof IOException failure) {
                throw new IOException(failure.getMessage(), failure);
            }
            throw e;
        }
    }

    /** Returns when the work has ended, however it has. */
    void awaitEnd() {
        result.handle((done, failure) -> null).join();
    }
}
