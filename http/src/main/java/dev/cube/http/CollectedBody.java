package dev.cube.http;

import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.ext.web.RoutingContext;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * The body of a request, collected on the request's event loop. A small one has mostly come with the request's head, and then
 * whoever handles the request need not go back to the event loop for it, which takes two threads a wake-up each.
 */
final class CollectedBody {
    private static final int TIMEOUT_SECONDS = 60;
    private static final String KEY = CollectedBody.class.getName();

    private final HttpServerRequest request;
    private final int limit;
    private final Buffer collected = Buffer.buffer();
    private final CompletableFuture<byte[]> done = new CompletableFuture<>();

    private CollectedBody(HttpServerRequest request, int limit) {
        this.request = request;
        this.limit = limit;
    }

    /**
     * Begins to collect, on the event loop.
     *
     * @param limit of more bytes than these nothing is kept
     * @param ready run on the event loop once: when the body is there, or else, with the request paused, when what came together
     *              with the head has been seen
     */
    static void collect(RoutingContext context, int limit, Runnable ready) {
        HttpServerRequest request = context.request();
        CollectedBody body = new CollectedBody(request, limit);
        context.put(KEY, body);
        body.attach();
        boolean[] told = new boolean[1];
        body.done.whenComplete((bytes, failure) -> {
            if (!told[0]) {
                told[0] = true;
                ready.run();
            }
        });
        context.vertx().runOnContext(afterwards -> {
            if (!told[0]) {
                told[0] = true;
                request.pause();
                ready.run();
            }
        });
    }

    /** What was begun to be collected with the head of the request, or else is from now on; for a virtual thread. */
    static CollectedBody of(RoutingContext context, int limit) {
        CollectedBody begun = context.get(KEY);
        if (begun != null) {
            return begun;
        }
        CollectedBody body = new CollectedBody(context.request(), limit);
        try {
            body.attach();
        } catch (IllegalStateException e) {
            // So does an HTTP/2 request that was reset.
            body.fail(new HttpError(400, "the request was broken off"));
        }
        return body;
    }

    private void attach() {
        if (request.isEnded()) {
            end();
        } else {
            request.exceptionHandler(this::fail).endHandler(end -> end()).handler(this::add);
        }
    }

    private void add(Buffer chunk) {
        if (done.isDone()) {
            return;
        }
        if (collected.length() + (long) chunk.length() > limit) {
            fail(new HttpError(413, "the request body is larger than " + limit + " bytes"));
        } else {
            collected.appendBuffer(chunk);
        }
    }

    private void end() {
        done.complete(collected.getBytes());
    }

    private void fail(Throwable cause) {
        done.completeExceptionally(cause);
    }

    /** The whole body, for a virtual thread; 413 if it is larger than the limit, 408 if it has not arrived after a minute. */
    byte[] bytes() {
        if (!done.isDone()) {
            RequestBody.discard(request);
            if (request.response().closed()) {
                fail(new HttpError(400, "the request was broken off"));
            }
        }
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
