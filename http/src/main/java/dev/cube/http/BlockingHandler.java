package dev.cube.http;

import io.vertx.core.Handler;
import io.vertx.ext.web.RoutingContext;
import java.util.concurrent.ThreadFactory;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs a handler that blocks on a virtual thread of its own, so that one slow request holds up no other: Vert.x's own
 * virtual-thread contexts run one handler at a time. The request is paused meanwhile; a handler that wants the body
 * reads it with {@link RequestBody} or {@link JsonBody}. Whatever the handler throws becomes an error in the API's
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

    private final Action action;

    private BlockingHandler(Action action) {
        this.action = action;
    }

    public static BlockingHandler of(Action action) {
        return new BlockingHandler(action);
    }

    @Override
    public void handle(RoutingContext context) {
        context.request().pause();
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
            if (context.response().ended()) {
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
