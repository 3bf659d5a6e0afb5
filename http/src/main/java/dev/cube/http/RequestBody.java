package dev.cube.http;

import io.vertx.core.Future;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.ext.web.RoutingContext;
import java.util.concurrent.CompletionException;

/** What virtual threads do with requests that event loops read. */
public final class RequestBody {
    private RequestBody() {}

    /** The whole body; 413 if it is larger than {@code limit} bytes, 408 if it has not arrived after a minute. */
    public static byte[] bytes(RoutingContext context, int limit) {
        return CollectedBody.of(context, limit).bytes();
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
}
