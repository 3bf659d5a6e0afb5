package dev.cube.proxy;

import dev.cube.envd.PortService;
import dev.cube.envd.SandboxTarget;
import dev.cube.envd.daemon.Envd;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.http.BlockingHandler;
import dev.cube.http.HttpError;
import dev.cube.http.RequestBody;
import io.vertx.core.Context;
import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import io.vertx.core.http.Http2Settings;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * The way from outside into the sandboxes: finds the sandbox and the port that a request is for, and has the host's own
 * service answer it, or a service in the guest. Thread-safe.
 */
public final class SandboxProxy {
    /** Longer than any keepalive of E2B's clients. */
    private static final int IDLE_TIMEOUT_SECONDS = 640;
    private static final int STREAM_WINDOW = 256 * 1024;
    private static final int CONNECTION_WINDOW = 4 * 1024 * 1024;

    private final SandboxDirectory directory;
    private final Map<Integer, PortService> services;

    /** @param services that answer in the guests' place, by their ports */
    public SandboxProxy(SandboxDirectory directory, List<PortService> services) {
        this.directory = directory;
        this.services = services.stream().collect(Collectors.toUnmodifiableMap(PortService::port, Function.identity()));
    }

    /**
     * Settings of a server for this proxy: HTTP/1.1 and HTTP/2, in cleartext until TLS is added with {@code setSsl} and a
     * certificate, and then by ALPN.
     */
    public static HttpServerOptions serverOptions() {
        return new HttpServerOptions().setUseAlpn(true).setHandle100ContinueAutomatically(true)
                .setIdleTimeout(IDLE_TIMEOUT_SECONDS).setIdleTimeoutUnit(TimeUnit.SECONDS).setTcpKeepAlive(true)
                .setHttp2ConnectionWindowSize(CONNECTION_WINDOW)
                .setInitialSettings(new Http2Settings().setInitialWindowSize(STREAM_WINDOW)
                        .setMaxConcurrentStreams(1000))
                .setMaxInitialLineLength(16 * 1024).setMaxHeaderSize(64 * 1024);
    }

    /** Whether a request names a sandbox, well or badly; others are for whoever shares the port. */
    public static boolean concerns(HttpServerRequest request) {
        try {
            return SandboxAddress.of(request).isPresent();
        } catch (SandboxAddress.Malformed e) {
            return true;
        }
    }

    /** Handles all requests of a server. */
    public Handler<HttpServerRequest> handler(Vertx vertx) {
        Router router = Router.router(vertx);
        router.route().handler(this::handle);
        return router;
    }

    /** Handles one request; called on its event loop. */
    public void handle(RoutingContext context) {
        Context eventLoop = context.vertx().getOrCreateContext();
        BlockingHandler.of(blocking -> serve(blocking, eventLoop)).handle(context);
    }

    /** The sandbox, or the VM that it ran in, is gone: lets the services drop what they hold for it. */
    public void forget(String sandboxId) {
        services.values().forEach(service -> service.forget(sandboxId));
    }

    private void serve(RoutingContext context, Context eventLoop) throws Exception {
        SandboxAddress address = address(context.request());
        Optional<SandboxDirectory.Target> found = directory.find(address.sandboxId());
        if (found.isEmpty()) {
            notFound(address, context);
            return;
        }
        SandboxDirectory.Target target = found.get();
        // envd has its own token.
        if (address.port() != Envd.PORT && !TrafficToken.admits(target, address, context)) {
            return;
        }
        Optional<GuestAgent> agent = (onlyAsksWhetherItRuns(address, context) ? target.running() : target.agent()).get();
        if (agent.isEmpty()) {
            notFound(address, context);
            return;
        }
        PortService service = services.get(address.port());
        try {
            if (service == null) {
                new PortRelay(address, target, context, eventLoop).run(agent.get());
            } else {
                service.handle(new SandboxTarget(target.sandboxId(), agent.get(), target.accessToken()), context);
            }
        } catch (GuestException e) {
            if (e.kind() != GuestException.Kind.DISCONNECTED) {
                RequestBody.discard(context.request());
                throw e;
            }
            notFound(address, context);
        }
    }

    /**
     * E2B's clients do, when a stream of theirs is cut off, as by a pause. To resume the sandbox for that would mean that one
     * with such a client is never paused.
     */
    private static boolean onlyAsksWhetherItRuns(SandboxAddress address, RoutingContext context) {
        return address.port() == Envd.PORT && context.request().path().equals("/health");
    }

    private static void notFound(SandboxAddress address, RoutingContext context) {
        RequestBody.discard(context.request());
        ErrorPage.notFound(address.sandboxId()).send(context);
    }

    private static SandboxAddress address(HttpServerRequest request) {
        try {
            return SandboxAddress.of(request).orElseThrow(() -> new SandboxAddress.Malformed("Invalid host: name a"
                    + " sandbox as <port>-<sandboxID>.<domain>, or in E2b-Sandbox-Id and E2b-Sandbox-Port"));
        } catch (SandboxAddress.Malformed e) {
            RequestBody.discard(request);
            throw new HttpError(400, e.getMessage());
        }
    }
}
