package dev.cube.api;

import dev.cube.http.BlockingHandler;
import dev.cube.http.HttpError;
import dev.cube.http.JsonBody;
import dev.cube.master.MasterException;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import io.vertx.core.http.HttpMethod;
import io.vertx.ext.web.Router;
import java.util.concurrent.TimeUnit;

/** Adds routes whose requests are checked for access, timed, and whose failures get their status. */
final class Endpoints {
    private final Router router;
    private final Access access;
    private final MeterRegistry meters;

    Endpoints(Router router, Access access, MeterRegistry meters) {
        this.router = router;
        this.access = access;
        this.meters = meters;
    }

    void add(HttpMethod method, String path, BlockingHandler.Action action) {
        addOpen(method, path, context -> {
            access.check(context.request());
            action.handle(context);
        });
    }

    /** A route that needs no key. */
    void addOpen(HttpMethod method, String path, BlockingHandler.Action action) {
        router.route(method, path).handler(BlockingHandler.withBody(JsonBody.LIMIT, context -> {
            long start = System.nanoTime();
            int failure = 0;
            try {
                action.handle(context);
            } catch (MasterException e) {
                failure = status(e.kind());
                throw new HttpError(failure, e.getMessage());
            } catch (HttpError e) {
                failure = e.status();
                throw e;
            } catch (Exception | Error e) {
                failure = 500;
                throw e;
            } finally {
                int status = failure == 0 ? context.response().getStatusCode() : failure;
                Timer.builder("cube.api.requests").description("API requests by route and status")
                        .tags("method", method.name(), "route", path, "status", Integer.toString(status))
                        .register(meters).record(System.nanoTime() - start, TimeUnit.NANOSECONDS);
            }
        }));
    }

    static int statusOf(MasterException e) {
        return status(e.kind());
    }

    // 503 rather than 429 for a full node: clients call 429 a rate limit, which it is not.
    private static int status(MasterException.Kind kind) {
        return switch (kind) {
            case INVALID -> 400;
            case FORBIDDEN -> 403;
            case NOT_FOUND -> 404;
            case CONFLICT -> 409;
            case NO_CAPACITY -> 503;
            case FAILED -> 500;
        };
    }
}
