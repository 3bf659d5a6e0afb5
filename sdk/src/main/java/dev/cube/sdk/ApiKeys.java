package dev.cube.sdk;

import java.util.List;
import java.util.Map;

/** The keys that a server takes. Get it from {@link CubeClient#apiKeys}. */
public final class ApiKeys {
    private final CubeClient client;

    ApiKeys(CubeClient client) {
        this.client = client;
    }

    /** Makes a key. Its answer is the only place where {@link ApiKeyInfo#key} can be seen. */
    public ApiKeyInfo create(String name) {
        return Json.read(client.post("/cube/apikeys", Map.of("name", name)), ApiKeyInfo.class);
    }

    public List<ApiKeyInfo> list() {
        return List.of(Json.read(client.fetch("/cube/apikeys"), ApiKeyInfo[].class));
    }

    public void delete(String id) {
        client.delete("/cube/apikeys/" + CubeClient.encode(id));
    }
}
