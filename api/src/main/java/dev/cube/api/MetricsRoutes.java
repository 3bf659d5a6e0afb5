package dev.cube.api;

import dev.cube.http.HttpError;
import dev.cube.http.Responses;
import dev.cube.master.Metering;
import dev.cube.master.SandboxMetrics;
import io.vertx.core.http.HttpMethod;
import io.vertx.ext.web.RoutingContext;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** E2B's routes for what sandboxes use. */
final class MetricsRoutes {
    private static final int MAX_SANDBOXES = 100;

    /** {@code SandboxMetric} of E2B's OpenAPI document. */
    private record View(Instant timestamp, long timestampUnix, int cpuCount, double cpuUsedPct, long memUsed,
            long memTotal, long memCache, long diskUsed, long diskTotal) {

        static View of(SandboxMetrics metrics) {
            return new View(metrics.at(), metrics.at().getEpochSecond(), metrics.cpuCount(), metrics.cpuUsedPercent(),
                    metrics.memoryUsed(), metrics.memoryTotal(), metrics.memoryCached(), metrics.diskUsed(),
                    metrics.diskTotal());
        }
    }

    private record Many(Map<String, View> sandboxes) {}

    private final Metering metering;

    MetricsRoutes(Metering metering) {
        this.metering = metering;
    }

    void addTo(Endpoints endpoints) {
        endpoints.add(HttpMethod.GET, "/sandboxes/metrics", this::many);
        endpoints.add(HttpMethod.GET, "/sandboxes/:id/metrics", this::one);
    }

    private void one(RoutingContext context) {
        var query = new QueryParameters(context);
        List<SandboxMetrics> metrics = metering.metrics(context.pathParam("id"), query.epochSecond("start"),
                query.endOfEpochSecond("end"));
        Responses.json(context, 200, metrics.stream().map(View::of).toList());
    }

    private void many(RoutingContext context) {
        List<String> ids = context.queryParams().getAll("sandbox_ids").stream()
                .flatMap(list -> Arrays.stream(list.split(","))).map(String::strip).filter(id -> !id.isEmpty())
                .distinct().toList();
        if (ids.isEmpty() || ids.size() > MAX_SANDBOXES) {
            throw new HttpError(400, "parameter 'sandbox_ids' must have 1 to %d IDs joined by commas, not %d"
                    .formatted(MAX_SANDBOXES, ids.size()));
        }
        Responses.json(context, 200, new Many(metering.latest(ids).entrySet().stream()
                .collect(Collectors.toMap(Map.Entry::getKey, entry -> View.of(entry.getValue())))));
    }
}
