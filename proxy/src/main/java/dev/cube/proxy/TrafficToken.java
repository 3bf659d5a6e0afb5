package dev.cube.proxy;

import dev.cube.http.RequestBody;
import io.vertx.ext.web.RoutingContext;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;

/** The token that requests to a sandbox's ports carry where these are not public. */
final class TrafficToken {
    private static final String HEADER = "e2b-traffic-access-token";

    private TrafficToken() {}

    /** Whether the request may go on; answers it if not. */
    static boolean admits(SandboxDirectory.Target target, SandboxAddress address, RoutingContext context) {
        if (target.trafficToken().isEmpty()) {
            return true;
        }
        String given = context.request().getHeader(HEADER);
        if (given != null && MessageDigest.isEqual(given.getBytes(StandardCharsets.UTF_8),
                target.trafficToken().get().getBytes(StandardCharsets.UTF_8))) {
            return true;
        }
        RequestBody.discard(context.request());
        ErrorPage.trafficRefused(address, given == null || given.isEmpty()
                ? "Token header '" + HEADER + "' is missing" : "Provided token in header '" + HEADER + "' is invalid")
                .send(context);
        return false;
    }
}
