package dev.cube.envd.files;

import dev.cube.envd.SandboxTarget;
import dev.cube.http.HttpError;
import io.vertx.core.MultiMap;
import io.vertx.core.http.HttpServerRequest;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Clock;
import java.util.Base64;

/**
 * Lets those read or write a file of a secure sandbox who hold its token, or a URL that was signed with it: E2B's scheme,
 * {@code v1_} and the unpadded Base64 of the SHA-256 of {@code path:operation:user:token[:expiration]}.
 */
record Signature(Clock clock) {
    enum Operation { READ, WRITE }

    /** Ends the request with 401 if it may not do this. */
    void check(SandboxTarget target, HttpServerRequest request, Operation operation) {
        if (target.accessToken().isEmpty()) {
            return;
        }
        if (request.getHeader("X-Access-Token") != null) {
            if (!target.admits(request)) {
                throw new HttpError(401, "access token present in header but does not match");
            }
            return;
        }
        MultiMap query = request.params();
        String given = query.get("signature");
        if (given == null) {
            throw new HttpError(401, "missing signature query parameter");
        }
        String expiration = query.get("signature_expiration");
        String signed = String.join(":", orEmpty(query.get("path")), operation.name().toLowerCase(java.util.Locale.ROOT),
                orEmpty(query.get("username")), target.accessToken().get()) + (expiration == null ? "" : ":" + expiration);
        if (!MessageDigest.isEqual(sign(signed).getBytes(StandardCharsets.UTF_8),
                given.getBytes(StandardCharsets.UTF_8))) {
            throw new HttpError(401, "invalid signature");
        }
        if (expiration != null && seconds(expiration) < clock.instant().getEpochSecond()) {
            throw new HttpError(401, "signature is already expired");
        }
    }

    private static String orEmpty(String value) {
        return value == null ? "" : value;
    }

    private static long seconds(String expiration) {
        try {
            return Long.parseLong(expiration);
        } catch (NumberFormatException e) {
            throw new HttpError(400, "signature_expiration is not a number of seconds: '" + expiration + "'");
        }
    }

    private static String sign(String text) {
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
            return "v1_" + Base64.getEncoder().withoutPadding().encodeToString(hash);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
