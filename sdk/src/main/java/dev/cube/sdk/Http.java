package dev.cube.sdk;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Optional;

/** One HTTP client, made when first used, whose failures are {@link CubeException}s. */
final class Http implements AutoCloseable {
    private final CubeConfig config;
    private final HttpClient.Version version;
    private HttpClient client;

    Http(CubeConfig config, HttpClient.Version version) {
        this.config = config;
        this.version = version;
    }

    private synchronized HttpClient client() {
        if (client == null) {
            var builder = HttpClient.newBuilder().version(version).connectTimeout(Duration.ofSeconds(10));
            config.certificates().map(TrustedCertificates::context).ifPresent(builder::sslContext);
            client = builder.build();
        }
        return client;
    }

    /** The whole body of a successful answer; any other answer is a {@link CubeException}. */
    HttpResponse<byte[]> send(HttpRequest.Builder request) {
        HttpResponse<byte[]> response = exchange(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        if (response.statusCode() / 100 != 2) {
            throw error(response.statusCode(), response.body());
        }
        return response;
    }

    /** The body of a successful answer as it comes; any other answer is a {@link CubeException}. */
    InputStream open(HttpRequest.Builder request) {
        HttpResponse<InputStream> response = exchange(request.build(), HttpResponse.BodyHandlers.ofInputStream());
        if (response.statusCode() / 100 == 2) {
            return response.body();
        }
        try (InputStream body = response.body()) {
            throw error(response.statusCode(), body.readAllBytes());
        } catch (IOException e) {
            throw new CubeException(response.statusCode(), "HTTP status " + response.statusCode());
        }
    }

    private <T> HttpResponse<T> exchange(HttpRequest request, HttpResponse.BodyHandler<T> handler) {
        URI uri = request.uri();
        String server = uri.getScheme() + "://" + uri.getAuthority();
        try {
            return client().send(request, handler);
        } catch (HttpConnectTimeoutException | ConnectException e) {
            throw new CubeException("no server answers at %s: start one with ./cube up, or set E2B_API_URL"
                    .formatted(server), e);
        } catch (HttpTimeoutException e) {
            throw new CubeException("no answer from %s within %d s".formatted(server,
                    request.timeout().orElse(config.requestTimeout()).toSeconds()), e);
        } catch (IOException e) {
            throw new CubeException("%s failed: %s".formatted(server,
                    Optional.ofNullable(e.getMessage()).orElse(e.getClass().getSimpleName())), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CubeException("interrupted while waiting for " + server, e);
        }
    }

    /** Errors are {@code {"code":…,"message":"…"}} from the API and from Connect services alike. */
    private static CubeException error(int status, byte[] body) {
        try {
            JsonNode node = Json.MAPPER.readTree(body);
            if (node != null && node.path("message").isTextual()) {
                return new CubeException(status, node.path("message").asText());
            }
        } catch (IOException e) {
            // Not JSON: the text itself is the best there is.
        }
        String text = new String(body, StandardCharsets.UTF_8).strip();
        return new CubeException(status, "HTTP status " + status + (text.isEmpty() ? "" : ": " + text));
    }

    @Override
    public synchronized void close() {
        if (client != null) {
            client.shutdownNow();
            client.close();
        }
    }
}
