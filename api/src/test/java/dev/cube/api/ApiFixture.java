package dev.cube.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.cube.http.HttpServers;
import dev.cube.http.RequestBody;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;

/** The API over real HTTP, on fakes of what is behind it. */
final class ApiFixture implements AutoCloseable {
    /** An answer: status, JSON body (null if there is none) and the response itself. */
    record Answer(int status, JsonNode body, HttpResponse<String> response) {
        String message() {
            return body.path("message").asText();
        }
    }

    final FakeSandboxes sandboxes = new FakeSandboxes();
    final FakeTemplates templates = new FakeTemplates();
    final FakeApiKeys keys = new FakeApiKeys();
    final FakeLogs logs = new FakeLogs();
    final FakeMetering metering = new FakeMetering(sandboxes);
    final SimpleMeterRegistry meters = new SimpleMeterRegistry();
    final List<Boolean> shutdowns = new ArrayList<>();
    private final Vertx vertx = Vertx.vertx();
    private final HttpServer server;
    private final HttpClient client = HttpClient.newHttpClient();
    private final ObjectMapper json = new ObjectMapper();

    ApiFixture(boolean requiresKeys) {
        var settings = new ApiSettings("1.2.3", "cube.localhost:8443", "0.5.7", "tcg", requiresKeys);
        var api = new RestApi(settings, sandboxes, sandboxes.snapshots, templates, keys, metering, logs, meters, () -> "up 1\n",
                shutdowns::add);
        server = HttpServers.listen(vertx, HttpServers.plain(), api.router(vertx), "127.0.0.1", 0);
    }

    int port() {
        return server.actualPort();
    }

    Answer call(String method, String path, String body, String... headers) {
        var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.actualPort() + path))
                .method(method, body == null ? HttpRequest.BodyPublishers.noBody()
                        : HttpRequest.BodyPublishers.ofString(body));
        if (headers.length > 0) {
            request.headers(headers);
        }
        try {
            HttpResponse<String> response = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
            boolean isJson = response.headers().firstValue("content-type").orElse("").equals("application/json");
            return new Answer(response.statusCode(), isJson ? json.readTree(response.body()) : null, response);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    Answer get(String path) {
        return call("GET", path, null);
    }

    Answer post(String path, String body) {
        return call("POST", path, body);
    }

    JsonNode tree(String text) throws IOException {
        return json.readTree(text);
    }

    @Override
    public void close() {
        client.close();
        RequestBody.await(vertx.close());
    }
}
