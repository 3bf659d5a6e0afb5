package dev.cube.http;

import com.fasterxml.jackson.core.JsonProcessingException;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.ext.web.RoutingContext;

/** JSON answers, and errors in the API's shape. */
public final class Responses {
    private record ErrorBody(int code, String message) {}

    private Responses() {}

    /** Answers with {@code body} as JSON; empty optionals and nulls in it are left out. */
    public static void json(RoutingContext context, int status, Object body) {
        json(context.response(), status, body);
    }

    /** Answers with a status and no body. */
    public static void empty(RoutingContext context, int status) {
        context.response().setStatusCode(status).end();
    }

    /** Answers with an error, or cuts the connection where an answer is already under way. */
    public static void error(RoutingContext context, int status, String message) {
        error(context.response(), status, message);
    }

    static void error(HttpServerResponse response, int status, String message) {
        if (response.ended() || response.closed()) {
            return;
        }
        if (response.headWritten()) {
            response.reset();
            return;
        }
        json(response, status, new ErrorBody(status, String.valueOf(message)));
    }

    private static void json(HttpServerResponse response, int status, Object body) {
        byte[] bytes;
        try {
            bytes = Json.MAPPER.writeValueAsBytes(body);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
        response.setStatusCode(status).putHeader("content-type", "application/json").end(Buffer.buffer(bytes));
    }
}
