package dev.cube.http;

import io.vertx.core.Handler;
import io.vertx.ext.web.RoutingContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs a handler that blocks on a virtual thread of its own, so that one slow request holds up no other: Vert.x's own
 * virtual-thread contexts run one handler at a time. The request is paused meanwhile; a handler that wants the body
 * reads it with {@link RequestBody}. Whatever the handler throws becomes an error in the API's shape.
 */
public final class BlockingHandler implements Handler<RoutingContext> {
    /** What to do with a request. */
    @FunctionalInterface
    public interface Action {
        void handle(RoutingContext context) throws Exception;
    }

    private static final Logger LOG = LoggerFactory.getLogger(BlockingHandler.class);

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
        Thread.ofVirtual().name("http-", 0).start(() -> run(context));
    }

    private void run(RoutingContext context) {
        try {
            action.handle(context);
        } catch (HttpError e) {
            Responses.error(context, e.status(), e.getMessage());
        } catch (Exception e) {
            LOG.error("{} {} failed", context.request().method(), context.request().path(), e);
            Responses.error(context, 500, "internal error: " + e.getMessage());
        }
    }
}
