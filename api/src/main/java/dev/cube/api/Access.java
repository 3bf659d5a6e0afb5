package dev.cube.api;

import dev.cube.http.HttpError;
import dev.cube.master.ApiKeys;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.net.HostAndPort;
import java.net.URI;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * Who may use the API: with keys, whoever presents a valid one; without, whoever reaches the loopback interface, except
 * web pages, which any browser on the machine would let in.
 */
final class Access {
    private static final String BEARER = "bearer ";
    private static final Pattern LOOPBACK = Pattern.compile("127(\\.[0-9]{1,3}){3}");

    private final ApiKeys keys;
    private final boolean requiresKeys;

    Access(ApiKeys keys, boolean requiresKeys) {
        this.keys = keys;
        this.requiresKeys = requiresKeys;
    }

    /** Throws {@link HttpError} if the request is not to be served. */
    void check(HttpServerRequest request) {
        if (requiresKeys) {
            checkKey(request);
        } else {
            checkNotFromWebPage(request);
        }
    }

    private void checkKey(HttpServerRequest request) {
        String key = presentedKey(request);
        if (key == null || key.isBlank()) {
            throw new HttpError(401, "an API key is required: send it in the header X-API-Key");
        }
        if (!keys.valid(key)) {
            throw new HttpError(401, "the API key is not valid");
        }
    }

    private static String presentedKey(HttpServerRequest request) {
        String key = request.getHeader("X-API-Key");
        if (key != null) {
            return key.strip();
        }
        String authorization = request.getHeader("Authorization");
        return authorization != null && authorization.toLowerCase(Locale.ROOT).startsWith(BEARER)
                ? authorization.substring(BEARER.length()).strip() : null;
    }

    // A page's own requests carry its origin; a page that has its host name resolve to this machine carries that name.
    private static void checkNotFromWebPage(HttpServerRequest request) {
        String origin = request.getHeader("Origin");
        HostAndPort authority = request.authority();
        if (origin != null && !isLocal(hostOf(origin)) || authority != null && !isLocal(authority.host())) {
            throw new HttpError(403, "this server has no API keys and serves local clients only: "
                    + "address it as 127.0.0.1 or localhost");
        }
    }

    private static String hostOf(String origin) {
        try {
            String host = URI.create(origin).getHost();
            return host == null ? "" : host;
        } catch (IllegalArgumentException e) {
            return "";
        }
    }

    private static boolean isLocal(String host) {
        String name = host.toLowerCase(Locale.ROOT);
        return name.equals("localhost") || name.endsWith(".localhost") || LOOPBACK.matcher(name).matches()
                || name.equals("[::1]") || name.equals("::1");
    }
}
