package dev.cube.envd.connect;

import dev.cube.envd.SandboxTarget;
import io.vertx.core.http.HttpServerRequest;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.Optional;

/**
 * What a call says beside its message.
 *
 * @param username from basic authentication, of which the password does not matter
 * @param timeout  how long the client waits; empty: for ever
 */
public record Call(SandboxTarget target, Optional<String> username, Optional<Duration> timeout,
        Duration keepalive) {
    private static final Duration DEFAULT_KEEPALIVE = Duration.ofSeconds(90);
    /** The protocol allows ten digits. */
    private static final int TIMEOUT_DIGITS = 10;

    static Call of(SandboxTarget target, HttpServerRequest request) {
        return new Call(target, username(request.getHeader("Authorization")),
                timeout(request.getHeader("Connect-Timeout-Ms")),
                keepalive(request.getHeader("Keepalive-Ping-Interval")));
    }

    private static Optional<String> username(String authorization) {
        String scheme = "basic ";
        if (authorization == null || !authorization.regionMatches(true, 0, scheme, 0, scheme.length())) {
            return Optional.empty();
        }
        try {
            byte[] credentials = Base64.getDecoder().decode(authorization.substring(scheme.length()).strip());
            String pair = new String(credentials, StandardCharsets.UTF_8);
            int colon = pair.indexOf(':');
            return colon < 0 ? Optional.empty() : Optional.of(pair.substring(0, colon));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    /** Zero means no timeout, as in E2B's envd. */
    private static Optional<Duration> timeout(String header) {
        if (header == null || header.isEmpty()) {
            return Optional.empty();
        }
        if (header.length() > TIMEOUT_DIGITS || !header.chars().allMatch(digit -> digit >= '0' && digit <= '9')) {
            throw new ConnectException(Code.INVALID_ARGUMENT,
                    "protocol error: invalid Connect-Timeout-Ms \"" + header + "\"");
        }
        return Optional.of(Duration.ofMillis(Long.parseLong(header))).filter(Duration::isPositive);
    }

    private static Duration keepalive(String header) {
        try {
            int seconds = header == null ? 0 : Integer.parseInt(header.strip());
            return seconds > 0 ? Duration.ofSeconds(seconds) : DEFAULT_KEEPALIVE;
        } catch (NumberFormatException e) {
            return DEFAULT_KEEPALIVE;
        }
    }
}
