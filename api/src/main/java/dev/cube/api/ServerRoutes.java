package dev.cube.api;

import dev.cube.http.HttpError;
import dev.cube.http.Responses;
import dev.cube.master.Sandboxes;
import dev.cube.master.Templates;
import io.vertx.core.http.HttpMethod;
import io.vertx.ext.web.RoutingContext;
import java.util.Map;
import java.util.function.Supplier;

/** The server itself: health, information, metrics, shutdown. */
final class ServerRoutes {
    private static final String PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8";

    private record Info(String version, String accelerator, String domain, String envdVersion, boolean apiKeyRequired,
            int sandboxes, int templates) {}

    private final ApiSettings settings;
    private final Sandboxes sandboxes;
    private final Templates templates;
    private final Supplier<String> metrics;
    private final ServerControl control;

    ServerRoutes(ApiSettings settings, Sandboxes sandboxes, Templates templates, Supplier<String> metrics,
            ServerControl control) {
        this.settings = settings;
        this.sandboxes = sandboxes;
        this.templates = templates;
        this.metrics = metrics;
        this.control = control;
    }

    void addTo(Endpoints endpoints) {
        endpoints.addOpen(HttpMethod.GET, "/health", context -> Responses.empty(context, 204));
        endpoints.add(HttpMethod.GET, "/metrics", context ->
                context.response().putHeader("content-type", PROMETHEUS_TEXT).end(metrics.get()));
        endpoints.add(HttpMethod.GET, "/cube/info", context -> Responses.json(context, 200, new Info(
                settings.version(), settings.accelerator(), settings.domain(), settings.envdVersion(),
                settings.requiresKeys(), RunningSandboxes.list(sandboxes, Map.of()).size(),
                templates.list().size())));
        endpoints.add(HttpMethod.POST, "/cube/shutdown", this::shutdown);
    }

    private void shutdown(RoutingContext context) {
        boolean kill = switch (new QueryParameters(context).text("sandboxes").orElse("keep")) {
            case "keep" -> false;
            case "kill" -> true;
            default -> throw new HttpError(400, "parameter 'sandboxes' must be keep or kill");
        };
        Responses.empty(context, 202);
        control.shutdown(kill);
    }
}
