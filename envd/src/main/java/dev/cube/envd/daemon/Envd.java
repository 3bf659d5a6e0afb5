package dev.cube.envd.daemon;

import dev.cube.envd.PortService;
import dev.cube.envd.ProcessLog;
import dev.cube.envd.SandboxTarget;
import dev.cube.envd.connect.ConnectServer;
import dev.cube.envd.connect.Procedure;
import dev.cube.envd.files.FileRoutes;
import dev.cube.envd.files.FilesystemService;
import dev.cube.envd.files.WatchService;
import dev.cube.envd.process.ProcessService;
import dev.cube.http.HttpError;
import dev.cube.http.RequestBody;
import dev.cube.http.Responses;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.ext.web.RoutingContext;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * What E2B's in-guest daemon envd serves on its port, served by the host and done by the guest's agent. One instance for
 * all sandboxes; thread-safe.
 */
public final class Envd implements PortService {
    /**
     * The envd version whose behaviour this is, for the API to tell clients, which choose by it what they ask for:
     * metadata of files came with 0.6.2, entries in the events of watches with 0.6.3, network mounts with 0.6.4.
     */
    public static final String VERSION = "0.6.13";

    public static final int PORT = 49983;
    /** Routes that E2B's control plane calls and its proxy hides. */
    private static final Set<String> INTERNAL =
            Set.of("/init", "/freeze", "/unfreeze", "/collapse", "/fsfreeze", "/fsthaw", "/upgrade");

    private static final Set<String> ROUTES = Set.of("/files", "/files/compose", "/envs", "/health", "/metrics");

    private final ProcessService processes;
    private final WatchService watches = new WatchService();
    private final FileRoutes files = new FileRoutes();
    private final ConnectServer procedures;

    public Envd() {
        this(ProcessLog.NONE);
    }

    /** @param log is told of the processes that clients start */
    public Envd(ProcessLog log) {
        processes = new ProcessService(log);
        var all = new HashMap<String, Procedure>(processes.procedures());
        all.putAll(new FilesystemService().procedures());
        all.putAll(watches.procedures());
        procedures = new ConnectServer(all);
        Thread.ofVirtual().name("envd-warm-up").start(procedures::warmUp);
    }

    @Override
    public int port() {
        return PORT;
    }

    @Override
    public void forget(String sandboxId) {
        processes.forget(sandboxId);
        watches.forget(sandboxId);
    }

    @Override
    public void handle(SandboxTarget target, RoutingContext context) {
        HttpServerRequest request = context.request();
        if (Cors.answered(request)) {
            RequestBody.discard(request);
            return;
        }
        String path = request.path();
        if (INTERNAL.contains(path)) {
            RequestBody.discard(request);
            Responses.json(context, 404, Map.of("code", 404, "path", path, "message",
                    "This endpoint is reserved for the control plane and is not reachable through the sandbox URL"));
            return;
        }
        boolean open = path.equals("/health") || path.equals("/files");
        if (!open && !target.admits(request)) {
            RequestBody.discard(request);
            throw new HttpError(401, "unauthorized access, please provide a valid access token or method signing"
                    + " if supported");
        }
        if (procedures.serves(path)) {
            procedures.handle(target, context);
        } else {
            route(target, context);
        }
    }

    private void route(SandboxTarget target, RoutingContext context) {
        HttpServerRequest request = context.request();
        switch (request.method().name() + " " + request.path()) {
            case "GET /files" -> files.download(target, context);
            case "POST /files" -> files.upload(target, context);
            case "POST /files/compose" -> files.compose(target, context);
            case "GET /envs" -> {
                RequestBody.discard(request);
                context.response().putHeader("Cache-Control", "no-store");
                Responses.json(context, 200, SandboxEnvironment.of(target.agent()));
            }
            case "GET /health" -> {
                RequestBody.discard(request);
                context.response().putHeader("Cache-Control", "no-store");
                Responses.empty(context, 204);
            }
            case "GET /metrics" -> {
                RequestBody.discard(request);
                context.response().putHeader("Cache-Control", "no-store");
                Responses.json(context, 200, MetricsAnswer.of(target.agent().metrics(), Instant.now()));
            }
            default -> {
                RequestBody.discard(request);
                boolean known = ROUTES.contains(request.path());
                throw new HttpError(known ? 405 : 404,
                        request.method() + " " + request.path() + (known ? " is not allowed" : " does not exist"));
            }
        }
    }
}
