package dev.cube.http;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.ext.web.RoutingContext;
import java.util.Map;

/** JSON answers, and errors in the API's shape. */
public final class Responses {
    private static final ObjectMapper JSON =
            JsonMapper.builder().findAndAddModules().disable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS).build();

    private Responses() {}

    /** Answers with {@code body} as JSON. */
    public static void json(RoutingContext context, int status, Object body) {
        byte[] bytes;
        try {
            bytes = JSON.writeValueAsBytes(body);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
        context.response().setStatusCode(status).putHeader("content-type", "application/json")
                .end(Buffer.buffer(bytes));
    }

    /** Answers with a status and no body. */
    public static void empty(RoutingContext context, int status) {
        context.response().setStatusCode(status).end();
    }

    /** Answers with an error, or cuts the connection where an answer is already under way. */
    public static void error(RoutingContext context, int status, String message) {
        HttpServerResponse response = context.response();
        if (response.ended() || response.closed()) {
            return;
        }
        if (response.headWritten()) {
            response.reset();
            return;
        }
        json(context, status, Map.of("code", status, "message", String.valueOf(message)));
    }
}
