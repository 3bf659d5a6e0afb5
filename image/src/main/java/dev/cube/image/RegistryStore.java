package dev.cube.image;

import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A repository in a registry, by the OCI distribution specification 1.1. Redirects, which lead to a registry's blob
 * storage, are followed without the registry's credentials. What fails in a way that may pass is tried again, and a blob's
 * transfer that breaks off is taken up where it broke.
 */
final class RegistryStore implements ContentStore {
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(15);
    private static final Duration RESPONSE_TIMEOUT = Duration.ofSeconds(60);
    private static final int ATTEMPTS = 4;
    private static final int MAX_REDIRECTS = 5;
    private static final Set<Integer> REDIRECTS = Set.of(301, 302, 303, 307, 308);
    private static final Set<Integer> TRANSIENT = Set.of(429, 500, 502, 503, 504);
    private static final String MANIFEST_TYPES = String.join(", ", ManifestResolver.OCI_INDEX,
            ManifestResolver.OCI_MANIFEST, ManifestResolver.DOCKER_LIST, ManifestResolver.DOCKER_MANIFEST);

    private final ImageReference.Registry reference;
    private final URI repository;
    private final HttpClient http;
    private final RegistryAuthorization authorization;
    private final Duration retryDelay;

    RegistryStore(ImageReference.Registry reference, RegistryCredentials credentials) {
        this(reference, credentials, Duration.ofMillis(500));
    }

    /** @param retryDelay before the second attempt; doubled for each further one */
    RegistryStore(ImageReference.Registry reference, RegistryCredentials credentials, Duration retryDelay) {
        this.reference = reference;
        this.retryDelay = retryDelay;
        String hostName = reference.host().replaceFirst(":\\d+$", "");
        String scheme = Origin.isLoopback(hostName) ? "http" : "https";
        try {
            this.repository = URI.create(scheme + "://" + reference.host() + "/v2/" + reference.repository() + "/");
        } catch (IllegalArgumentException e) {
            throw new ImageException("'%s' is not a registry's host name".formatted(reference.host()), e);
        }
        if (repository.getHost() == null || repository.getPort() > 65535) {
            throw new ImageException("'%s' is not a registry's host name".formatted(reference.host()));
        }
        this.http = HttpClient.newBuilder().connectTimeout(CONNECT_TIMEOUT).followRedirects(HttpClient.Redirect.NEVER)
                .build();
        this.authorization =
                new RegistryAuthorization(http, reference.host(), reference.repository(), credentials);
    }

    @Override
    public Document root() throws IOException {
        URI uri = repository.resolve("manifests/" + reference.reference());
        Fetched fetched = withRetries(() -> {
            HttpResponse<InputStream> response = get(uri, Map.of("Accept", MANIFEST_TYPES));
            try (InputStream body = new StallGuard(response.body())) {
                return new Fetched(response.headers().firstValue("Content-Type").orElse(""),
                        response.headers().firstValue("Docker-Content-Digest"),
                        body.readNBytes(ManifestResolver.MAX_DOCUMENT_SIZE + 1));
            }
        });
        if (fetched.content().length > ManifestResolver.MAX_DOCUMENT_SIZE) {
            throw new ImageException("the manifest of %s is larger than %d bytes".formatted(
                    name(), ManifestResolver.MAX_DOCUMENT_SIZE));
        }
        boolean byDigest = reference.reference().contains(":");
        Digest expected = byDigest ? Digest.parse(reference.reference())
                : fetched.digest().map(Digest::parse).orElseGet(() -> Digest.sha256(fetched.content()));
        Digest actual = Digest.of(expected.algorithm(),
                Digest.newMessageDigest(expected.algorithm()).digest(fetched.content()));
        if (!actual.equals(expected)) {
            throw new ImageException("the manifest of %s is damaged: its digest is %s instead of %s".formatted(
                    name(), actual, expected));
        }
        return new Document(fetched.mediaType(), actual, fetched.content());
    }

    private record Fetched(String mediaType, Optional<String> digest, byte[] content) {}

    @Override
    public InputStream open(Descriptor descriptor, Kind kind) throws IOException {
        URI uri = repository.resolve((kind == Kind.MANIFEST ? "manifests/" : "blobs/") + descriptor.digest());
        return new ResumingInputStream(offset -> withRetries(() -> openAt(uri, offset)));
    }

    private InputStream openAt(URI uri, long offset) throws IOException, InterruptedException {
        Map<String, String> headers = offset == 0
                ? Map.of("Accept", MANIFEST_TYPES + ", */*")
                : Map.of("Accept", MANIFEST_TYPES + ", */*", "Range", "bytes=" + offset + "-");
        HttpResponse<InputStream> response = get(uri, headers);
        InputStream body = new StallGuard(response.body());
        if (response.statusCode() == 206) {
            String expected = "bytes " + offset + "-";
            if (response.headers().firstValue("Content-Range").filter(range -> range.startsWith(expected)).isEmpty()) {
                body.close();
                throw new ImageException("registry %s sent another part of a blob than it was asked for"
                        .formatted(reference.host()));
            }
        } else {
            body.skipNBytes(offset);
        }
        return body;
    }

    /** One request, with the redirects and the login that it takes. The status of the response is 200 or 206. */
    private HttpResponse<InputStream> get(URI start, Map<String, String> headers)
            throws IOException, InterruptedException {
        URI uri = start;
        boolean answered = false;
        for (int redirects = 0; redirects <= MAX_REDIRECTS;) {
            HttpRequest.Builder request = HttpRequest.newBuilder(uri).timeout(RESPONSE_TIMEOUT);
            headers.forEach(request::header);
            boolean atHome = Origin.same(uri, repository);
            if (atHome) {
                authorization.header().ifPresent(value -> request.header("Authorization", value));
            }
            HttpResponse<InputStream> response =
                    http.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
            int status = response.statusCode();
            if (status == 200 || status == 206) {
                return response;
            }
            response.body().close();
            if (REDIRECTS.contains(status)) {
                redirects++;
                uri = target(uri, response);
            } else if (status == 401 && atHome && !answered && authorization.answer(response.headers())) {
                answered = true;
            } else if (TRANSIENT.contains(status)) {
                throw new TransientException("%s answered with status %d".formatted(uri.getHost(), status));
            } else {
                throw refused(status);
            }
        }
        throw new ImageException("registry %s redirects more than %d times".formatted(reference.host(), MAX_REDIRECTS));
    }

    private URI target(URI from, HttpResponse<?> response) {
        String location = response.headers().firstValue("Location").orElse("");
        try {
            return Origin.check(from.resolve(location), "a redirect of registry " + reference.host() + " to");
        } catch (IllegalArgumentException e) {
            throw new ImageException("registry %s sent an impossible redirect".formatted(reference.host()), e);
        }
    }

    private ImageException refused(int status) {
        return new ImageException(switch (status) {
            case 401, 403 -> "registry %s refuses access to %s: log in, or check the name".formatted(
                    reference.host(), reference.repository());
            case 404 -> "%s does not exist".formatted(name());
            default -> "registry %s answered with status %d".formatted(reference.host(), status);
        });
    }

    private String name() {
        return "image %s/%s%s%s".formatted(reference.host(), reference.repository(),
                reference.reference().contains(":") ? "@" : ":", reference.reference());
    }

    @FunctionalInterface
    private interface Attempt<T> {
        T run() throws IOException, InterruptedException;
    }

    private <T> T withRetries(Attempt<T> attempt) throws IOException {
        Duration delay = retryDelay;
        for (int count = 1;; count++) {
            try {
                return attempt.run();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new ImageException("interrupted", e);
            } catch (ConnectException e) {
                // Nobody listens, or no such host: waiting a second does not change that.
                throw new ImageException("cannot reach registry %s%s".formatted(reference.host(), detail(e)), e);
            } catch (IOException e) {
                if (count == ATTEMPTS) {
                    throw new ImageException("registry %s fails%s".formatted(reference.host(), detail(e)), e);
                }
            }
            try {
                Thread.sleep(delay);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new ImageException("interrupted", e);
            }
            delay = delay.multipliedBy(2);
        }
    }

    private static String detail(IOException e) {
        return e.getMessage() == null ? "" : ": " + e.getMessage();
    }

    /** A server's way to say: not now. */
    private static final class TransientException extends IOException {
        TransientException(String message) {
            super(message);
        }
    }

    @Override
    public void close() {
        http.shutdownNow();
    }
}
