package dev.cube.sdk;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** A Cube: its sandboxes, templates and API keys. Thread-safe; calls block and throw {@link CubeException}. */
public final class CubeClient implements AutoCloseable {
    private static final int PAGE_SIZE = 100;

    private final CubeConfig config;
    private final Http api;
    private final Http sandboxes;
    private final Templates templates = new Templates(this);
    private final ApiKeys apiKeys = new ApiKeys(this);

    public CubeClient(CubeConfig config) {
        this.config = config;
        // HTTP/2 without TLS would start each connection with an upgrade that the API need not know.
        this.api = new Http(config, "https".equals(config.apiUrl().getScheme())
                ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1);
        this.sandboxes = new Http(config, config.sandboxUrl().filter(url -> "http".equals(url.getScheme())).isPresent()
                ? HttpClient.Version.HTTP_1_1 : HttpClient.Version.HTTP_2);
    }

    public Templates templates() {
        return templates;
    }

    public ApiKeys apiKeys() {
        return apiKeys;
    }

    /** Creates a sandbox; returns when it runs. */
    public Sandbox create(SandboxOptions options) {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("templateID", options.template());
        body.put("timeout", options.timeout().toSeconds());
        body.put("metadata", options.metadata());
        body.put("envVars", options.environment());
        body.put("secure", options.secure());
        body.put("allow_internet_access", options.allowInternetAccess());
        return sandbox(post("/sandboxes", body));
    }

    /**
     * Takes up a running sandbox, by an ID that may come from elsewhere.
     *
     * @param timeout its time is extended to at least this long from now
     */
    public Sandbox connect(String sandboxId, Duration timeout) {
        return sandbox(post("/sandboxes/" + encode(sandboxId) + "/connect", Map.of("timeout", timeout.toSeconds())));
    }

    /** Every sandbox, newest first. */
    public List<SandboxInfo> list() {
        return list(Map.of());
    }

    /** Every sandbox that has all of this metadata, newest first. */
    public List<SandboxInfo> list(Map<String, String> metadata) {
        // The value is itself a query string (E2B's shape), so names and values are encoded once more than it.
        String filter = metadata.entrySet().stream()
                .map(entry -> encode(encode(encode(entry.getKey())) + "=" + encode(encode(entry.getValue()))))
                .collect(Collectors.joining(encode("&")));
        String path = "/v2/sandboxes?limit=" + PAGE_SIZE + (filter.isEmpty() ? "" : "&metadata=" + filter);
        List<SandboxInfo> all = new ArrayList<>();
        Optional<String> token = Optional.empty();
        do {
            HttpResponse<byte[]> page = api.send(
                    request(path + token.map(value -> "&nextToken=" + encode(value)).orElse("")).GET());
            all.addAll(List.of(Json.read(page.body(), SandboxInfo[].class)));
            token = page.headers().firstValue("x-next-token").filter(value -> !value.isEmpty());
        } while (token.isPresent());
        return all;
    }

    public SandboxInfo get(String sandboxId) {
        return Json.read(fetch("/sandboxes/" + encode(sandboxId)), SandboxInfo.class);
    }

    /** Ends the sandbox this long from now, earlier or later than before. */
    public void setTimeout(String sandboxId, Duration timeout) {
        post("/sandboxes/" + encode(sandboxId) + "/timeout", Map.of("timeout", timeout.toSeconds()));
    }

    public void kill(String sandboxId) {
        delete("/sandboxes/" + encode(sandboxId));
    }

    /** What the server says of itself and its node. */
    public JsonNode serverInfo() {
        return Json.tree(fetch("/cube/info"));
    }

    byte[] fetch(String path) {
        return api.send(request(path).GET()).body();
    }

    byte[] post(String path, Object body) {
        return api.send(request(path)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofByteArray(Json.bytes(body)))).body();
    }

    void delete(String path) {
        api.send(request(path).DELETE());
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(config.apiUrl() + path))
                .timeout(config.requestTimeout())
                .header("X-API-KEY", config.apiKey());
    }

    private Sandbox sandbox(byte[] created) {
        Created answer = Json.read(created, Created.class);
        if (answer.id == null) {
            throw new CubeException("the server's answer names no sandbox");
        }
        return new Sandbox(this, new SandboxServices(sandboxes, config, answer.id,
                Optional.ofNullable(answer.domain).orElse(config.domain()), Optional.ofNullable(answer.accessToken)));
    }

    static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
    }

    @Override
    public void close() {
        api.close();
        sandboxes.close();
    }

    /** E2B's {@code Sandbox}: the answer to a creation. */
    private record Created(
            @JsonProperty("sandboxID") String id,
            String domain,
            @JsonProperty("envdAccessToken") String accessToken) {}
}
