package dev.cube.envd.interpreter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.cube.envd.SandboxTarget;
import dev.cube.http.BlockingHandler;
import dev.cube.http.HttpServers;
import dev.cube.http.RequestBody;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpServer;
import io.vertx.ext.web.Router;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A code interpreter over HTTP, with its kernels on this machine. */
final class InterpreterFixture implements AutoCloseable {
    static final JsonMapper JSON = new JsonMapper();

    final LocalAgent agent;
    final KernelFiles files;
    final Path epoch;
    private final CodeInterpreter interpreter;
    private final Vertx vertx = Vertx.vertx();
    private final HttpServer server;
    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private volatile SandboxTarget target;

    InterpreterFixture(Path directory) {
        epoch = directory.resolve("run/epoch");
        files = new KernelFiles(directory.resolve("opt").toString(), epoch.toString());
        agent = new LocalAgent(directory);
        interpreter = new CodeInterpreter(files);
        target = new SandboxTarget("sandbox", agent, Optional.empty());
        Router router = Router.router(vertx);
        router.route().handler(BlockingHandler.of(context -> interpreter.handle(target, context)));
        server = HttpServers.listen(vertx, HttpServers.plain(), router, "127.0.0.1", 0);
    }

    /** From now on the sandbox is a secure one. */
    void secure(String token) {
        target = new SandboxTarget("sandbox", agent, Optional.of(token));
    }

    /** Takes back {@link #secure}. */
    void open() {
        target = new SandboxTarget("sandbox", agent, Optional.empty());
    }

    /** The host loses what it knew, as after a restart. */
    void forget() {
        interpreter.forget("sandbox");
    }

    /** What one cell said, as a client collects it. */
    record Execution(List<JsonNode> events) {
        List<JsonNode> of(String type) {
            return events.stream().filter(event -> event.path("type").asText().equals(type)).toList();
        }

        String stdout() {
            return text("stdout");
        }

        String stderr() {
            return text("stderr");
        }

        /** The main result's text; null if there is none. */
        String text() {
            return of("result").stream().filter(result -> result.path("is_main_result").asBoolean())
                    .map(result -> result.path("text").asText()).findFirst().orElse(null);
        }

        JsonNode error() {
            return of("error").isEmpty() ? null : of("error").getFirst();
        }

        private String text(String type) {
            var all = new StringBuilder();
            of(type).forEach(event -> all.append(event.path("text").asText()));
            return all.toString();
        }
    }

    Execution run(String code) {
        return run(code, Map.of());
    }

    /** Runs a cell with more fields in the request. */
    Execution run(String code, Map<String, Object> more) {
        try (InputStream body = open(code, more)) {
            return new Execution(events(body));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** Starts a cell; closing the stream is a client that goes away. */
    InputStream open(String code, Map<String, Object> more) {
        var body = new HashMap<String, Object>(more);
        body.put("code", code);
        try {
            HttpResponse<InputStream> response = http.send(request("/execute").POST(
                    HttpRequest.BodyPublishers.ofByteArray(JSON.writeValueAsBytes(body))).build(),
                    HttpResponse.BodyHandlers.ofInputStream());
            if (response.statusCode() != 200) {
                throw new AssertionError(response.statusCode() + " "
                        + new String(response.body().readAllBytes(), StandardCharsets.UTF_8));
            }
            return response.body();
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    static List<JsonNode> events(InputStream body) throws IOException {
        var events = new ArrayList<JsonNode>();
        var lines = new BufferedReader(new InputStreamReader(body, StandardCharsets.US_ASCII));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            events.add(JSON.readTree(line));
        }
        return events;
    }

    HttpResponse<String> call(String method, String path, String body, String... headers) {
        HttpRequest.Builder request = request(path).method(method, HttpRequest.BodyPublishers.ofString(body));
        if (headers.length > 0) {
            request.headers(headers);
        }
        try {
            return http.send(request.build(), HttpResponse.BodyHandlers.ofString());
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.actualPort() + path))
                .header("Content-Type", "application/json");
    }

    @Override
    public void close() {
        http.shutdownNow();
        RequestBody.await(vertx.close());
        agent.close();
    }
}
