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
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** A Cube: its sandboxes, templates, snapshots and API keys. Thread-safe; calls block and throw {@link CubeException}. */
public final class CubeClient implements AutoCloseable {
    private static final int PAGE_SIZE = 100;

    private final CubeConfig config;
    private final Http api;
    private final Http sandboxes;
    private final Templates templates = new Templates(this);
    private final Snapshots snapshots = new Snapshots(this);
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

    public Snapshots snapshots() {
        return snapshots;
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
        if (options.onTimeout() != SandboxOptions.OnTimeout.KILL) {
            body.put("autoPause", true);
            body.put("autoResume", Map.of("enabled",
                    options.onTimeout() == SandboxOptions.OnTimeout.PAUSE_AND_RESUME_ON_REQUEST));
            if (options.onTimeout() == SandboxOptions.OnTimeout.PAUSE_WITHOUT_MEMORY) {
                body.put("autoPauseMemory", false);
            }
        }
        return sandbox(post("/sandboxes", body));
    }

    /**
     * Takes up a sandbox, by an ID that may come from elsewhere. A paused one is resumed.
     *
     * @param timeout its time is extended to at least this long from now
     */
    public Sandbox connect(String sandboxId, Duration timeout) {
        return sandbox(post(sandboxPath(sandboxId) + "/connect", Map.of("timeout", timeout.toSeconds())));
    }

    /**
     * Writes a running sandbox's memory to disk and frees it; returns when that is done. Connections to the sandbox end.
     *
     * @throws CubeException with status 409 if it is paused already
     */
    public void pause(String sandboxId) {
        post(sandboxPath(sandboxId) + "/pause", Map.of());
    }

    /**
     * As {@link #pause}, but keeps the disk only: the sandbox boots when it is resumed, without its processes and their memory.
     *
     * @throws CubeException with status 409 if it is paused already
     */
    public void pauseWithoutMemory(String sandboxId) {
        post(sandboxPath(sandboxId) + "/pause", Map.of("memory", false));
    }

    /**
     * Lets a paused sandbox go on.
     *
     * @param timeout how long from now
     * @throws CubeException with status 409 if it runs
     */
    public Sandbox resume(String sandboxId, Duration timeout) {
        return sandbox(post(sandboxPath(sandboxId) + "/resume", Map.of("timeout", timeout.toSeconds())));
    }

    /**
     * Puts a sandbox back to what it was at one of its own snapshots: same ID, tokens and host names; processes, memory
     * and disk as they were. Connections to it end.
     */
    public Sandbox rollback(String sandboxId, String snapshotId) {
        return sandbox(post(sandboxPath(sandboxId) + "/rollback", Map.of("snapshotID", snapshotId)));
    }

    /** Makes sandboxes that are in the same state as a running one, which goes on. All are made, or none. */
    public List<Sandbox> clone(String sandboxId, CloneOptions options) {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("n", options.count());
        options.concurrency().ifPresent(concurrency -> body.put("concurrency", concurrency));
        options.timeout().ifPresent(timeout -> body.put("timeout", timeout.toSeconds()));
        Clones answer = Json.read(post(sandboxPath(sandboxId) + "/clone", body), Clones.class);
        return answer.sandboxes.stream().map(this::sandbox).toList();
    }

    /**
     * Makes sandboxes that are in the same state as a running one, which goes on; each may fail by itself.
     *
     * @param timeout of the new ones
     */
    public List<Fork> fork(String sandboxId, int count, Duration timeout) {
        byte[] answer = post(sandboxPath(sandboxId) + "/fork", Map.of("count", count, "timeout", timeout.toSeconds()));
        return Arrays.stream(Json.read(answer, Forked[].class)).map(this::fork).toList();
    }

    private Fork fork(Forked forked) {
        return forked.error == null
                ? new Fork.Made(sandbox(forked.sandbox))
                : new Fork.Failed(new CubeException(forked.error.code, forked.error.message));
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
        return pages("/v2/sandboxes", filter.isEmpty() ? "" : "&metadata=" + filter, SandboxInfo[].class);
    }

    public SandboxInfo get(String sandboxId) {
        return Json.read(fetch(sandboxPath(sandboxId)), SandboxInfo.class);
    }

    /** Ends the sandbox this long from now, earlier or later than before. */
    public void setTimeout(String sandboxId, Duration timeout) {
        post(sandboxPath(sandboxId) + "/timeout", Map.of("timeout", timeout.toSeconds()));
    }

    public void kill(String sandboxId) {
        delete(sandboxPath(sandboxId));
    }

    /** What the server says of itself and its node. */
    public JsonNode serverInfo() {
        return Json.tree(fetch("/cube/info"));
    }

    /**
     * All that a paginated list has.
     *
     * @param filter query parameters, each with an ampersand before it
     */
    <T> List<T> pages(String path, String filter, Class<T[]> type) {
        List<T> all = new ArrayList<>();
        Optional<String> token = Optional.empty();
        do {
            HttpResponse<byte[]> page = api.send(request(path + "?limit=" + PAGE_SIZE + filter
                    + token.map(value -> "&nextToken=" + encode(value)).orElse("")).GET());
            all.addAll(List.of(Json.read(page.body(), type)));
            token = page.headers().firstValue("x-next-token").filter(value -> !value.isEmpty());
        } while (token.isPresent());
        return all;
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
        return sandbox(Json.read(created, Created.class));
    }

    private Sandbox sandbox(Created answer) {
        if (answer == null || answer.id == null) {
            throw new CubeException("the server's answer names no sandbox");
        }
        return new Sandbox(this, new SandboxServices(sandboxes, config, answer.id,
                Optional.ofNullable(answer.domain).orElse(config.domain()), Optional.ofNullable(answer.accessToken)));
    }

    static String sandboxPath(String sandboxId) {
        return "/sandboxes/" + encode(sandboxId);
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

    private record Clones(List<Created> sandboxes) {
        Clones {
            sandboxes = sandboxes == null ? List.of() : sandboxes;
        }
    }

    private record Forked(Created sandbox, Problem error) {}

    private record Problem(int code, String message) {}
}
