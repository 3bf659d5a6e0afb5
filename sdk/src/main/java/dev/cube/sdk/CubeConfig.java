package dev.cube.sdk;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * Where a Cube is and how to speak to it.
 *
 * @param apiUrl         of the REST interface
 * @param apiKey         sent as {@code X-API-KEY}; a server open on loopback takes any
 * @param domain         below which sandboxes have their names, with a port if it is not 443; used where the server names
 *                       none
 * @param sandboxUrl     one URL for all sandboxes, told apart by headers, instead of a host name each
 * @param certificates   PEM file of the authorities to trust for https; the JDK's own where empty
 * @param requestTimeout until an answer's head must have come; bodies may stream longer
 */
public record CubeConfig(URI apiUrl, String apiKey, String domain, Optional<URI> sandboxUrl,
        Optional<Path> certificates, Duration requestTimeout) {

    private static final String DEFAULT_API_URL = "http://127.0.0.1:3000";
    private static final String DEFAULT_DOMAIN = "cube.localhost:8443";
    private static final Duration DEFAULT_TIMEOUT = Duration.ofSeconds(60);

    /** What E2B's clients read too: E2B_API_URL, E2B_API_KEY, E2B_DOMAIN, E2B_SANDBOX_URL, SSL_CERT_FILE. */
    public static CubeConfig fromEnvironment() {
        return from(System.getenv());
    }

    static CubeConfig from(Map<String, String> environment) {
        return new CubeConfig(
                uri("E2B_API_URL", get(environment, "E2B_API_URL").orElse(DEFAULT_API_URL)),
                get(environment, "E2B_API_KEY").orElse("local"),
                get(environment, "E2B_DOMAIN").orElse(DEFAULT_DOMAIN),
                get(environment, "E2B_SANDBOX_URL").map(value -> uri("E2B_SANDBOX_URL", value)),
                get(environment, "SSL_CERT_FILE").map(Path::of),
                DEFAULT_TIMEOUT);
    }

    private static Optional<String> get(Map<String, String> environment, String name) {
        return Optional.ofNullable(environment.get(name)).filter(value -> !value.isBlank());
    }

    private static URI uri(String name, String value) {
        URI uri;
        try {
            uri = URI.create(value.endsWith("/") ? value.substring(0, value.length() - 1) : value);
        } catch (IllegalArgumentException e) {
            throw new CubeException("%s is not a URL: %s".formatted(name, value), e);
        }
        if (uri.getHost() == null || !("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()))) {
            throw new CubeException("%s must be a http or https URL, not %s".formatted(name, value));
        }
        return uri;
    }
}
