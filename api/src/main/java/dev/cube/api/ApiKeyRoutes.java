package dev.cube.api;

import dev.cube.http.JsonBody;
import dev.cube.http.Responses;
import dev.cube.master.ApiKeys;
import io.vertx.core.http.HttpMethod;
import java.util.Optional;

/** Our own routes to make, list and delete API keys. */
final class ApiKeyRoutes {
    private static final int MAX_NAME_CHARS = 128;

    private record Name(Optional<String> name) {}

    private record Created(String id, String name, String key) {}

    private final ApiKeys keys;

    ApiKeyRoutes(ApiKeys keys) {
        this.keys = keys;
    }

    void addTo(Endpoints endpoints) {
        endpoints.add(HttpMethod.GET, "/cube/apikeys", context -> Responses.json(context, 200, keys.list()));
        endpoints.add(HttpMethod.POST, "/cube/apikeys", context -> {
            Optional<String> name = JsonBody.read(context, Name.class).name;
            ApiKeys.NewKey made = keys.create(Fields.text("name", Fields.required("name", name), MAX_NAME_CHARS));
            Responses.json(context, 201, new Created(made.info().id(), made.info().name(), made.key()));
        });
        endpoints.add(HttpMethod.DELETE, "/cube/apikeys/:id", context -> {
            keys.delete(context.pathParam("id"));
            Responses.empty(context, 204);
        });
    }
}
