package dev.cube.api;

import dev.cube.http.HttpServers;
import dev.cube.master.ApiKeys;
import dev.cube.master.Metering;
import dev.cube.master.SandboxLogs;
import dev.cube.master.Sandboxes;
import dev.cube.master.Snapshots;
import dev.cube.master.Templates;
import io.micrometer.core.instrument.MeterRegistry;
import io.vertx.core.Vertx;
import io.vertx.ext.web.Router;
import java.util.function.Supplier;

/**
 * The REST interface: E2B's control plane, as its OpenAPI document describes it, and our own routes below
 * {@code /cube}. Errors are {@code {"code":status,"message":"…"}}.
 */
public final class RestApi {
    private final ApiSettings settings;
    private final Sandboxes sandboxes;
    private final Snapshots snapshots;
    private final Templates templates;
    private final ApiKeys keys;
    private final Metering metering;
    private final SandboxLogs logs;
    private final MeterRegistry meters;
    private final Supplier<String> metrics;
    private final ServerControl control;

    /** @param metrics all of the server's metrics in Prometheus's text format */
    public RestApi(ApiSettings settings, Sandboxes sandboxes, Snapshots snapshots, Templates templates, ApiKeys keys,
            Metering metering, SandboxLogs logs, MeterRegistry meters, Supplier<String> metrics, ServerControl control) {
        this.settings = settings;
        this.sandboxes = sandboxes;
        this.snapshots = snapshots;
        this.templates = templates;
        this.keys = keys;
        this.metering = metering;
        this.logs = logs;
        this.meters = meters;
        this.metrics = metrics;
        this.control = control;
    }

    /** A router with all routes, to listen with {@link HttpServers#listen}. */
    public Router router(Vertx vertx) {
        Router router = Router.router(vertx);
        var endpoints = new Endpoints(router, new Access(keys, settings.requiresKeys()), meters);
        // Before the sandbox routes, which would take 'metrics' for an ID.
        new MetricsRoutes(metering).addTo(endpoints);
        new LogRoutes(logs).addTo(endpoints);
        new SandboxRoutes(sandboxes, new SandboxViews(settings)).addTo(endpoints);
        new LifecycleRoutes(sandboxes, new SandboxViews(settings)).addTo(endpoints);
        new SnapshotRoutes(sandboxes, snapshots).addTo(endpoints);
        new TemplateRoutes(templates, snapshots, new TemplateViews(settings)).addTo(endpoints);
        new CubeTemplateRoutes(templates).addTo(endpoints);
        new ApiKeyRoutes(keys).addTo(endpoints);
        new ServerRoutes(settings, sandboxes, templates, metrics, control).addTo(endpoints);
        return router;
    }
}
