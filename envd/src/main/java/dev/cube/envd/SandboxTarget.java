package dev.cube.envd;

import dev.cube.guest.GuestAgent;
import io.vertx.core.http.HttpServerRequest;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Optional;

/**
 * The running sandbox that a request is for.
 *
 * @param accessToken of a secure sandbox: what its owner's requests carry in {@code X-Access-Token}
 */
public record SandboxTarget(String sandboxId, GuestAgent agent, Optional<String> accessToken) {
    private static final String HEADER = "X-Access-Token";

    /** Whether the request carries the sandbox's access token, or the sandbox wants none. */
    public boolean admits(HttpServerRequest request) {
        if (accessToken.isEmpty()) {
            return true;
        }
        String given = request.getHeader(HEADER);
        return given != null && MessageDigest.isEqual(
                given.getBytes(StandardCharsets.UTF_8), accessToken.get().getBytes(StandardCharsets.UTF_8));
    }
}
