package dev.cube.envd.daemon;

import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;

/** Lets scripts of any site in, as envd does: its clients also run in browsers, and access goes by token alone. */
final class Cors {
    private static final String EXPOSED = "Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, Location, Cache-Control, "
            + "X-Content-Type-Options";
    private static final String MAX_AGE_SECONDS = "7200";

    private Cors() {}

    /** Sets the headers; answers a preflight request, which then is done. */
    static boolean answered(HttpServerRequest request) {
        HttpServerResponse response = request.response();
        String method = request.getHeader("Access-Control-Request-Method");
        response.putHeader("Vary", "Origin");
        if (request.getHeader("Origin") == null) {
            return false;
        }
        response.putHeader("Access-Control-Allow-Origin", "*");
        if (!HttpMethod.OPTIONS.equals(request.method()) || method == null) {
            response.putHeader("Access-Control-Expose-Headers", EXPOSED);
            return false;
        }
        String headers = request.getHeader("Access-Control-Request-Headers");
        response.putHeader("Access-Control-Allow-Methods", method);
        if (headers != null) {
            response.putHeader("Access-Control-Allow-Headers", headers);
        }
        response.putHeader("Access-Control-Max-Age", MAX_AGE_SECONDS).setStatusCode(204).end();
        return true;
    }
}
