package dev.cube.proxy;

import io.vertx.core.MultiMap;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpVersion;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A client's request, written again as HTTP/1.1 for a service in the guest. Every request has a connection of its own
 * there, so the service is told that it is the last.
 *
 * @param framing how the body, if there is one, is told from what follows
 * @param upgrade whether the client asks to go on in another protocol
 */
record RequestHead(String text, Framing framing, boolean upgrade) {
    enum Framing { NO_BODY, LENGTH, CHUNKED }

    /** Thrown where a request cannot be written down without changing its meaning. */
    static final class Malformed extends Exception {
        Malformed(String message) {
            super(message, null, false, false);
        }
    }

    /** Headers for one connection only (RFC 9110, 7.6.1), and such as we set or answer ourselves. */
    private static final Set<String> NOT_PASSED_ON = Set.of("connection", "keep-alive", "proxy-connection",
            "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "expect",
            "http2-settings", "host");
    private static final Set<HttpMethod> BODILESS = Set.of(HttpMethod.GET, HttpMethod.HEAD, HttpMethod.OPTIONS,
            HttpMethod.TRACE, HttpMethod.DELETE);

    /**
     * @param host       what the client asked
     * @param maskedHost what the service is told instead
     */
    static RequestHead of(HttpServerRequest request, String host, Optional<String> maskedHost) throws Malformed {
        boolean upgrade = isUpgrade(request);
        boolean trailers = !upgrade && takesTrailers(request);
        Framing framing = framing(request);
        var text = new StringBuilder(512);
        line(text, request.method().name() + " " + checkTarget(request.uri()) + " HTTP/1.1");
        line(text, "Host: " + maskedHost.orElse(host));
        Set<String> dropped = dropped(request.headers());
        if (maskedHost.isPresent()) {
            dropped.add("x-forwarded-host");
            line(text, "X-Forwarded-Host: " + host);
        }
        for (Map.Entry<String, String> header : request.headers()) {
            if (!dropped.contains(header.getKey().toLowerCase(Locale.ROOT)) && !header.getKey().startsWith(":")) {
                line(text, header.getKey() + ": " + header.getValue());
            }
        }
        if (framing == Framing.CHUNKED) {
            line(text, "Transfer-Encoding: chunked");
        }
        if (upgrade) {
            line(text, "Connection: Upgrade");
            line(text, "Upgrade: " + request.getHeader("Upgrade"));
        } else {
            line(text, "Connection: close" + (trailers ? ", TE" : ""));
        }
        if (trailers) {
            line(text, "TE: trailers");
        }
        text.append("\r\n");
        return new RequestHead(text.toString(), framing, upgrade);
    }

    byte[] bytes() {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** The headers of a message that are for the connection it came over. */
    static Set<String> dropped(MultiMap headers) {
        var dropped = new HashSet<>(NOT_PASSED_ON);
        headers.getAll("Connection").forEach(value -> Arrays.stream(value.split(","))
                .map(name -> name.strip().toLowerCase(Locale.ROOT)).forEach(dropped::add));
        return dropped;
    }

    private static boolean isUpgrade(HttpServerRequest request) {
        return request.version() == HttpVersion.HTTP_1_1 && request.getHeader("Upgrade") != null
                && request.headers().getAll("Connection").stream()
                .anyMatch(value -> value.toLowerCase(Locale.ROOT).contains("upgrade"))
                && !request.getHeader("Upgrade").equalsIgnoreCase("h2c");
    }

    /** What is between this proxy and the service takes them if the client does. */
    private static boolean takesTrailers(HttpServerRequest request) {
        return request.headers().getAll("TE").stream()
                .anyMatch(value -> value.toLowerCase(Locale.ROOT).contains("trailers"));
    }

    private static Framing framing(HttpServerRequest request) {
        if (request.getHeader("Content-Length") != null) {
            return Framing.LENGTH;
        }
        // HTTP/2 marks no body in the head; these methods have none in practice.
        boolean chunked = request.version() == HttpVersion.HTTP_2
                ? !BODILESS.contains(request.method()) : request.getHeader("Transfer-Encoding") != null;
        return chunked ? Framing.CHUNKED : Framing.NO_BODY;
    }

    private static String checkTarget(String uri) throws Malformed {
        if (uri == null || uri.isEmpty() || uri.chars().anyMatch(c -> c <= ' ' || c == 0x7f)) {
            throw new Malformed("the request's path is empty or has blanks or control characters in it");
        }
        return uri;
    }

    private static void line(StringBuilder text, String line) throws Malformed {
        if (line.chars().anyMatch(c -> c == '\r' || c == '\n' || c == '\0')) {
            throw new Malformed("a header has a line break in it");
        }
        text.append(line).append("\r\n");
    }
}
