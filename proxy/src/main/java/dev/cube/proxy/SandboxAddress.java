package dev.cube.proxy;

import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.net.HostAndPort;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which port of which sandbox a request is for: said by the first label of its host name, {@code <port>-<sandboxID>}, or
 * by the headers {@code E2b-Sandbox-Id} and {@code E2b-Sandbox-Port}.
 *
 * @param host the host that was asked, with its port
 */
public record SandboxAddress(String sandboxId, int port, String host) {
    private static final String ID_HEADER = "E2b-Sandbox-Id";
    private static final String PORT_HEADER = "E2b-Sandbox-Port";
    private static final Pattern LABEL = Pattern.compile("(\\d+)-([0-9A-Za-z_-]+)\\..+");
    private static final Pattern ID = Pattern.compile("[0-9A-Za-z_-]{1,64}");
    private static final int HIGHEST_PORT = 65535;

    /** Thrown where a request names a sandbox in a way that is not understood. */
    public static final class Malformed extends Exception {
        Malformed(String message) {
            super(message, null, false, false);
        }
    }

    /** Empty if the request is for no sandbox. */
    public static Optional<SandboxAddress> of(HttpServerRequest request) throws Malformed {
        HostAndPort authority = request.authority();
        String host = authority == null ? "" : authority.toString();
        Matcher label = LABEL.matcher(authority == null ? "" : authority.host());
        if (label.matches()) {
            return Optional.of(new SandboxAddress(id(label.group(2)), port(label.group(1)), host));
        }
        String id = request.getHeader(ID_HEADER);
        String port = request.getHeader(PORT_HEADER);
        if (id == null && port == null) {
            return Optional.empty();
        }
        if (id == null || port == null) {
            throw new Malformed("missing header: " + (id == null ? ID_HEADER : PORT_HEADER));
        }
        return Optional.of(new SandboxAddress(id(id), port(port), host));
    }

    private static String id(String text) throws Malformed {
        if (!ID.matcher(text).matches()) {
            throw new Malformed("Invalid sandbox ID");
        }
        return text;
    }

    private static int port(String text) throws Malformed {
        try {
            int port = Integer.parseInt(text);
            if (port >= 1 && port <= HIGHEST_PORT) {
                return port;
            }
        } catch (NumberFormatException e) {
            // Said below.
        }
        throw new Malformed("Invalid sandbox port");
    }
}
