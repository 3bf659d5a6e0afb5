package dev.cube.api;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.cube.http.JsonBody;
import dev.cube.http.Responses;
import dev.cube.master.Sandboxes;
import dev.cube.master.SnapshotInfo;
import dev.cube.master.Snapshots;
import io.vertx.core.http.HttpMethod;
import io.vertx.ext.web.RoutingContext;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;

/** E2B's snapshot routes, with what we add to them: durability, and a route for one snapshot. */
final class SnapshotRoutes {
    private static final int MAX_PAGE = 100;
    private static final int MAX_NAME_CHARS = 300;

    private record NewSnapshot(Optional<String> name, Optional<Boolean> durable) {}

    private record View(String snapshotID, List<String> names, String sandboxID, String templateID, Instant createdAt,
            String state, Optional<String> reason, @JsonInclude(JsonInclude.Include.ALWAYS) OptionalLong writtenBytes, int cpuCount,
            int memoryMB) {

        static View of(SnapshotInfo snapshot) {
            return new View(snapshot.id(), snapshot.names(), snapshot.sandboxId(), snapshot.templateId(),
                    snapshot.createdAt(), snapshot.state().name().toLowerCase(Locale.ROOT), snapshot.reason(),
                    snapshot.writtenBytes(), snapshot.cpuCount(), snapshot.memoryMib());
        }
    }

    private final Sandboxes sandboxes;
    private final Snapshots snapshots;

    SnapshotRoutes(Sandboxes sandboxes, Snapshots snapshots) {
        this.sandboxes = sandboxes;
        this.snapshots = snapshots;
    }

    void addTo(Endpoints endpoints) {
        endpoints.add(HttpMethod.POST, "/sandboxes/:id/snapshots", this::take);
        endpoints.add(HttpMethod.GET, "/snapshots", this::list);
        endpoints.add(HttpMethod.GET, "/snapshots/:id", context ->
                Responses.json(context, 200, View.of(snapshots.get(context.pathParam("id")))));
        endpoints.add(HttpMethod.DELETE, "/snapshots/:id", context -> {
            snapshots.delete(context.pathParam("id"));
            Responses.empty(context, 204);
        });
    }

    private void take(RoutingContext context) {
        NewSnapshot body = JsonBody.readOptional(context, NewSnapshot.class);
        SnapshotInfo snapshot = sandboxes.snapshot(context.pathParam("id"),
                body.name.map(name -> Fields.text("name", name, MAX_NAME_CHARS)), body.durable.orElse(false));
        Responses.json(context, 201, View.of(snapshot));
    }

    private void list(RoutingContext context) {
        var query = new QueryParameters(context);
        Snapshots.Page page = snapshots.list(query.text("sandboxID"), query.text("name"),
                query.number("limit", MAX_PAGE, 1, MAX_PAGE), query.text("nextToken"));
        page.nextToken().ifPresent(token -> context.response().putHeader("x-next-token", token));
        Responses.json(context, 200, page.snapshots().stream().map(View::of).toList());
    }
}
