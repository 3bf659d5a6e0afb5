package dev.cube.http;

import io.vertx.core.Handler;
import io.vertx.ext.web.RoutingContext;
import java.util.concurrent.ThreadFactory;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs a handler that blocks on a virtual thread of its own, so that one slow request holds up no other: Vert.x's own
 * virtual-thread contexts run one handler at a time. Whatever the handler throws becomes an error in the API's
 * shape. A handler may return before the response has ended; then it is the handler's business to read the request.
 */
public final class BlockingHandler implements Handler<RoutingContext> {
    /** What to do with a request. */
    @FunctionalInterface
    public interface Action {
        void handle(RoutingContext context) throws Exception;
    }

    private static final Logger LOG = LoggerFactory.getLogger(BlockingHandler.class);
    private static final ThreadFactory THREADS = Thread.ofVirtual().name("http-", 0).factory();

    private static final int STREAMED = -1;

    private final Action action;
    private final int bodyLimit;

    private BlockingHandler(Action action, int bodyLimit) {
        this.action = action;
        this.bodyLimit = bodyLimit;
    }

    /** For a handler that may read the request piece by piece: it is paused when the handler begins. */
    public static BlockingHandler of(Action action) {
        return new BlockingHandler(action, STREAMED);
    }

    /**
     * For a handler that reads a small body as a whole, with {@link JsonBody} or {@link RequestBody}, or not at all.
     *
     * @param limit the largest body that is taken, in bytes
     */
    public static BlockingHandler withBody(int limit, Action action) {
        return new BlockingHandler(action, limit);
    }

    @Override
    public void handle(RoutingContext context) {
        if (bodyLimit == STREAMED) {
            context.request().pause();
            start(context);
        } else {
            CollectedBody.collect(context, bodyLimit, () -> start(context));
        }
    }

    private void start(RoutingContext context) {
        THREADS.newThread(() -> run(context)).start();
    }

    // Errors are caught as well: a client must get an answer, whatever broke.
    private void run(RoutingContext context) {
        try {
            action.handle(context);
        } catch (HttpError e) {
            refuse(context, e.status(), e.getMessage());
        } catch (Throwable e) {
            LOG.error("{} {} failed", context.request().method(), context.request().path(), e);
            refuse(context, 500, "internal error: " + e);
        } finally {
            if (context.response().ended() && !context.request().isEnded()) {
                RequestBody.discard(context.request());
            }
        }
    }

    /** A server that is closed meanwhile has nothing left to answer with, and nobody to answer to. */
    private static void refuse(RoutingContext context, int status, String message) {
        try {
            Responses.error(context, status, message);
        } catch (RuntimeException e) {
            LOG.debug("no answer could be given: {}", e.toString());
        }
    }
}
