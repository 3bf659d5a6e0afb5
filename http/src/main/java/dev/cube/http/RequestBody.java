package dev.cube.http;

import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerRequest;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Reads the body of a paused request from a virtual thread. */
public final class RequestBody {
    private static final int TIMEOUT_SECONDS = 60;

    private RequestBody() {}

    /** The whole body; 413 if it is larger than {@code limit} bytes, 408 if it has not arrived after a minute. */
    public static byte[] bytes(HttpServerRequest request, int limit) {
        if (request.isEnded()) {
            return new byte[0];
        }
        var collector = new Collector(limit);
        try {
            request.exceptionHandler(collector::fail);
            request.endHandler(end -> collector.end());
            request.handler(collector::add);
            request.resume();
        } catch (IllegalStateException e) {
            // So does an HTTP/2 request that was reset.
            collector.fail(new HttpError(400, "the request was broken off"));
        }
        if (request.response().closed()) {
            collector.fail(new HttpError(400, "the request was broken off"));
        }
        return collector.await();
    }

    /** Lets a body that nobody wants pass by, so that its connection can be used again; more than once if need be. */
    public static void discard(HttpServerRequest request) {
        try {
            request.resume();
        } catch (IllegalStateException ended) {
            // So does a request of HTTP/2 after its end.
        }
    }

    /** Waits for a Vert.x result on a virtual thread; throws what it failed with. */
    public static <T> T await(Future<T> future) {
        try {
            return future.toCompletionStage().toCompletableFuture().join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            throw e;
        }
    }

    /** Chunks arrive one after another on the request's event loop. */
    private static final class Collector {
        private final int limit;
        private final Buffer collected = Buffer.buffer();
        private final CompletableFuture<byte[]> done = new CompletableFuture<>();

        private Collector(int limit) {
            this.limit = limit;
        }

        void add(Buffer chunk) {
            if (done.isDone()) {
                return;
            }
            if (collected.length() + (long) chunk.length() > limit) {
                fail(new HttpError(413, "the request body is larger than " + limit + " bytes"));
            } else {
                collected.appendBuffer(chunk);
            }
        }

        void end() {
            done.complete(collected.getBytes());
        }

        void fail(Throwable cause) {
            done.completeExceptionally(cause);
        }

        byte[] await() {
            try {
                return done.get(TIMEOUT_SECONDS, TimeUnit.SECONDS);
            } catch (ExecutionException e) {
                if (e.getCause() instanceof HttpError error) {
                    throw error;
                }
                throw new HttpError(400, "the request body could not be read: " + e.getCause().getMessage());
            } catch (TimeoutException e) {
                fail(e);
                throw new HttpError(408, "the request body did not arrive within " + TIMEOUT_SECONDS + " s");
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new HttpError(503, "the server is stopping");
            }
        }
    }
}
