package dev.cube.api;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.cube.http.JsonBody;
import dev.cube.http.Responses;
import dev.cube.master.MasterException;
import dev.cube.master.SandboxInfo;
import dev.cube.master.Sandboxes;
import io.vertx.core.http.HttpMethod;
import io.vertx.ext.web.RoutingContext;
import java.util.List;
import java.util.Optional;

/** What stops, continues and multiplies running sandboxes: E2B's routes, and clone and rollback, which are our own. */
final class LifecycleRoutes {
    private static final int DEFAULT_TIMEOUT_SECONDS = 15;
    private static final int DEFAULT_TIMEOUT_SECONDS_V2 = 300;
    private static final int MAX_COPIES = 1000;

    private record Pause(Optional<Boolean> memory) {}

    private record Resume(Optional<Integer> timeout, Optional<Boolean> autoPause, Optional<Boolean> memory) {}

    private record Connect(Optional<Integer> timeout, Optional<Boolean> memory) {}

    private record Rollback(Optional<String> snapshotID) {}

    private record Clone(Optional<Integer> n, Optional<Integer> concurrency, Optional<Integer> timeout) {}

    private record Clones(List<SandboxViews.Connection> sandboxes) {}

    private record Fork(Optional<Integer> count, Optional<Integer> timeout) {}

    @JsonInclude(JsonInclude.Include.NON_ABSENT)
    private record Forked(Optional<SandboxViews.Connection> sandbox, Optional<Failure> error) {}

    private record Failure(int code, String message) {}

    private final Sandboxes sandboxes;
    private final SandboxViews views;

    LifecycleRoutes(Sandboxes sandboxes, SandboxViews views) {
        this.sandboxes = sandboxes;
        this.views = views;
    }

    void addTo(Endpoints endpoints) {
        endpoints.add(HttpMethod.POST, "/sandboxes/:id/pause", this::pause);
        endpoints.add(HttpMethod.POST, "/sandboxes/:id/resume", this::resume);
        endpoints.add(HttpMethod.POST, "/sandboxes/:id/connect", context -> {
            Connect body = JsonBody.read(context, Connect.class);
            Fields.required("timeout", body.timeout);
            connect(context, body);
        });
        endpoints.add(HttpMethod.POST, "/v2/sandboxes/:id/connect", context ->
                connect(context, JsonBody.readOptional(context, Connect.class)));
        endpoints.add(HttpMethod.POST, "/sandboxes/:id/rollback", this::rollback);
        endpoints.add(HttpMethod.POST, "/sandboxes/:id/clone", this::makeClones);
        endpoints.add(HttpMethod.POST, "/sandboxes/:id/fork", this::fork);
    }

    private void pause(RoutingContext context) {
        boolean keepMemory = JsonBody.readOptional(context, Pause.class).memory.orElse(true);
        sandboxes.pause(context.pathParam("id"), keepMemory);
        Responses.empty(context, 204);
    }

    private void resume(RoutingContext context) {
        Resume body = JsonBody.readOptional(context, Resume.class);
        SandboxInfo sandbox = sandboxes.resume(context.pathParam("id"),
                Fields.seconds("timeout", body.timeout.orElse(DEFAULT_TIMEOUT_SECONDS)), body.autoPause,
                body.memory.orElse(true));
        Responses.json(context, 201, views.connection(sandbox));
    }

    private void connect(RoutingContext context, Connect body) {
        Sandboxes.Connected connected = sandboxes.connect(context.pathParam("id"),
                Fields.seconds("timeout", body.timeout.orElse(DEFAULT_TIMEOUT_SECONDS_V2)), body.memory.orElse(true));
        Responses.json(context, connected.resumed() ? 201 : 200, views.connection(connected.sandbox()));
    }

    private void rollback(RoutingContext context) {
        String snapshot = Fields.required("snapshotID", JsonBody.read(context, Rollback.class).snapshotID);
        Responses.json(context, 200, views.connection(sandboxes.rollback(context.pathParam("id"), snapshot)));
    }

    private void makeClones(RoutingContext context) {
        Clone body = JsonBody.readOptional(context, Clone.class);
        int n = Fields.range("n", body.n.orElse(1), 1, MAX_COPIES);
        int concurrency = Fields.range("concurrency", body.concurrency.orElse(n), 1, MAX_COPIES);
        List<SandboxInfo> made = sandboxes.copy(context.pathParam("id"), n, concurrency,
                body.timeout.map(seconds -> Fields.seconds("timeout", seconds)));
        Responses.json(context, 201, new Clones(made.stream().map(views::connection).toList()));
    }

    private void fork(RoutingContext context) {
        Fork body = JsonBody.readOptional(context, Fork.class);
        int count = Fields.range("count", body.count.orElse(1), 1, MAX_COPIES);
        List<Sandboxes.ForkResult> results = sandboxes.fork(context.pathParam("id"), count,
                Fields.seconds("timeout", body.timeout.orElse(DEFAULT_TIMEOUT_SECONDS)));
        Responses.json(context, 201, results.stream().map(result -> new Forked(
                result.sandbox().map(views::connection), result.failure().map(LifecycleRoutes::failure))).toList());
    }

    private static Failure failure(MasterException e) {
        return new Failure(Endpoints.statusOf(e), e.getMessage());
    }
}
