package dev.cube.api;

import dev.cube.http.JsonBody;
import dev.cube.http.Responses;
import dev.cube.master.SandboxInfo;
import dev.cube.master.SandboxQuery;
import dev.cube.master.Sandboxes;
import io.vertx.core.http.HttpMethod;
import io.vertx.ext.web.RoutingContext;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * E2B's routes to make, see, keep and end sandboxes. The second version of create, which its newer clients use, differs in
 * the default timeout, and in that sandboxes are always secure.
 */
final class SandboxRoutes {
    private static final int DEFAULT_TIMEOUT_SECONDS = 15;
    private static final int DEFAULT_TIMEOUT_SECONDS_V2 = 300;
    private static final int MAX_REFRESH_SECONDS = 3600;
    private static final int MAX_PAGE = 100;

    private record Timeout(Optional<Integer> timeout) {}

    private record Refresh(Optional<Integer> duration) {}

    private final Sandboxes sandboxes;
    private final SandboxViews views;

    SandboxRoutes(Sandboxes sandboxes, SandboxViews views) {
        this.sandboxes = sandboxes;
        this.views = views;
    }

    void addTo(Endpoints endpoints) {
        endpoints.add(HttpMethod.POST, "/sandboxes", context -> create(context, DEFAULT_TIMEOUT_SECONDS, false));
        endpoints.add(HttpMethod.POST, "/v2/sandboxes", context -> create(context, DEFAULT_TIMEOUT_SECONDS_V2, true));
        endpoints.add(HttpMethod.GET, "/sandboxes", this::listRunning);
        endpoints.add(HttpMethod.GET, "/v2/sandboxes", this::list);
        endpoints.add(HttpMethod.GET, "/sandboxes/:id", context ->
                Responses.json(context, 200, views.detail(sandboxes.get(context.pathParam("id")))));
        endpoints.add(HttpMethod.DELETE, "/sandboxes/:id", context -> {
            sandboxes.kill(context.pathParam("id"));
            Responses.empty(context, 204);
        });
        endpoints.add(HttpMethod.POST, "/sandboxes/:id/timeout", this::setTimeout);
        endpoints.add(HttpMethod.POST, "/sandboxes/:id/refreshes", this::refresh);
        endpoints.add(HttpMethod.PUT, "/sandboxes/:id/network", this::updateNetwork);
    }

    private void create(RoutingContext context, int defaultTimeoutSeconds, boolean secureByDefault) {
        NewSandbox body = JsonBody.read(context, NewSandbox.class);
        SandboxInfo sandbox = sandboxes.create(body.toRequest(defaultTimeoutSeconds, secureByDefault));
        Responses.json(context, 201, views.connection(sandbox));
    }

    private void listRunning(RoutingContext context) {
        List<SandboxInfo> running = RunningSandboxes.list(sandboxes, new QueryParameters(context).metadata());
        Responses.json(context, 200, running.stream().map(views::listed).toList());
    }

    private void list(RoutingContext context) {
        var query = new QueryParameters(context);
        Set<SandboxInfo.State> states = query.states();
        Sandboxes.Page page = sandboxes.list(
                new SandboxQuery(query.metadata(), states, query.moment("startedAfter"), query.template(), query.order()),
                query.number("limit", MAX_PAGE, 1, MAX_PAGE), query.text("nextToken"));
        if (states.isEmpty() || states.contains(SandboxInfo.State.RUNNING)) {
            context.response().putHeader("x-total-running", Integer.toString(page.totalRunning()));
        }
        page.nextToken().ifPresent(token -> context.response().putHeader("x-next-token", token));
        Responses.json(context, 200, page.sandboxes().stream().map(views::listed).toList());
    }

    private void setTimeout(RoutingContext context) {
        int seconds = Fields.required("timeout", JsonBody.read(context, Timeout.class).timeout);
        sandboxes.setTimeout(context.pathParam("id"), Fields.seconds("timeout", seconds));
        Responses.empty(context, 204);
    }

    private void refresh(RoutingContext context) {
        int seconds = JsonBody.readOptional(context, Refresh.class).duration.orElse(DEFAULT_TIMEOUT_SECONDS);
        Fields.range("duration", seconds, 0, MAX_REFRESH_SECONDS);
        sandboxes.extend(context.pathParam("id"),
                Duration.ofSeconds(Math.max(seconds, DEFAULT_TIMEOUT_SECONDS)));
        Responses.empty(context, 204);
    }

    private void updateNetwork(RoutingContext context) {
        NetworkUpdate update = JsonBody.read(context, NetworkUpdate.class);
        sandboxes.updateEgress(context.pathParam("id"), update.toEgress(), update.allowInternetAccess());
        Responses.empty(context, 204);
    }
}
