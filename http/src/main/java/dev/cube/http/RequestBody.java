package dev.cube.http;

import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerRequest;
import java.util.concurrent.CompletionException;

/** Reads the body of a paused request from a virtual thread. */
public final class RequestBody {
    private RequestBody() {}

    /** The whole body; 413 if it is larger than {@code limit} bytes. */
    public static byte[] bytes(HttpServerRequest request, int limit) {
        Buffer collected = Buffer.buffer();
        var done = new java.util.concurrent.CompletableFuture<byte[]>();
        request.exceptionHandler(done::completeExceptionally);
        request.handler(chunk -> {
            if (collected.length() + chunk.length() > limit) {
                done.completeExceptionally(new HttpError(413, "the request body is larger than " + limit + " bytes"));
            } else {
                collected.appendBuffer(chunk);
            }
        });
        request.endHandler(end -> done.complete(collected.getBytes()));
        request.resume();
        try {
            return done.join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof HttpError error) {
                throw error;
            }
            throw new HttpError(400, "the request body could not be read: " + e.getCause().getMessage());
        }
    }

    /** Waits for a Vert.x result on a virtual thread. */
    public static <T> T await(Future<T> future) {
        return future.toCompletionStage().toCompletableFuture().join();
    }
}
