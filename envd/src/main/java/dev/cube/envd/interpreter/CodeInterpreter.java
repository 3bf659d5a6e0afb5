package dev.cube.envd.interpreter;

import dev.cube.envd.PortService;
import dev.cube.envd.SandboxTarget;
import dev.cube.guest.GuestException;
import dev.cube.http.HttpError;
import dev.cube.http.JsonBody;
import dev.cube.http.RequestBody;
import dev.cube.http.Responses;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.ext.web.RoutingContext;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * E2B's code interpreter: runs cells of code in contexts that keep their state, and streams what they say. Errors are
 * plain text, which E2B's clients put into their exceptions as it is.
 *
 * <p>A secure sandbox's token is asked for where E2B's clients send it: {@code /execute}. To {@code /contexts} they send
 * none, and E2B asks for none; there only a wrong one is refused.
 */
public final class CodeInterpreter implements PortService {
    /** Where E2B's clients expect it. */
    public static final int PORT = 49999;

    private static final int MAX_REQUEST = 32 << 20;

    private final KernelFiles files;
    private final Map<String, Contexts> sandboxes = new ConcurrentHashMap<>();

    public CodeInterpreter() {
        this(KernelFiles.GUEST);
    }

    CodeInterpreter(KernelFiles files) {
        this.files = files;
    }

    @Override
    public int port() {
        return PORT;
    }

    @Override
    public void forget(String sandboxId) {
        Contexts contexts = sandboxes.remove(sandboxId);
        if (contexts != null) {
            contexts.release();
        }
    }

    @Override
    public void handle(SandboxTarget target, RoutingContext context) {
        HttpServerResponse response = context.response();
        response.putHeader("access-control-allow-origin", "*");
        try {
            route(target, context);
        } catch (HttpError e) {
            text(response, e.status(), e.getMessage());
        } catch (KernelException e) {
            text(response, 500, e.getMessage());
        } catch (GuestException e) {
            text(response, e.kind() == GuestException.Kind.DISCONNECTED ? 502 : 500, e.getMessage());
        }
    }

    private void route(SandboxTarget target, RoutingContext context) {
        HttpMethod method = context.request().method();
        List<String> path = List.of(context.request().path().substring(1).split("/", -1));
        if (method.equals(HttpMethod.OPTIONS)) {
            preflight(context.response());
        } else if (path.equals(List.of("health"))) {
            require(method, HttpMethod.GET);
            Responses.json(context, 200, "OK");
        } else if (path.equals(List.of("execute"))) {
            require(method, HttpMethod.POST);
            execute(target, context);
        } else if (path.getFirst().equals("contexts")) {
            refuseWrongToken(target, context);
            routeContexts(target, context, method, path);
        } else {
            throw noRoute(context);
        }
    }

    private void routeContexts(SandboxTarget target, RoutingContext context, HttpMethod method, List<String> path) {
        if (path.size() == 1 && method.equals(HttpMethod.GET)) {
            Responses.json(context, 200, contexts(target).list());
        } else if (path.size() == 1) {
            require(method, HttpMethod.POST);
            create(target, context);
        } else if (path.size() == 2) {
            require(method, HttpMethod.DELETE);
            Contexts contexts = contexts(target);
            contexts.remove(find(contexts, path.get(1)));
            done(context);
        } else if (path.size() == 3 && path.getLast().equals("restart")) {
            require(method, HttpMethod.POST);
            find(contexts(target), path.get(1)).restart();
            done(context);
        } else {
            throw noRoute(context);
        }
    }

    private static HttpError noRoute(RoutingContext context) {
        return new HttpError(404, "no such route: " + context.request().method() + " " + context.request().path());
    }

    private static void refuseWrongToken(SandboxTarget target, RoutingContext context) {
        if (context.request().headers().contains("X-Access-Token") && !target.admits(context.request())) {
            throw new HttpError(401, "the token in X-Access-Token is not this sandbox's");
        }
    }

    private void execute(SandboxTarget target, RoutingContext routing) {
        if (!target.admits(routing.request())) {
            throw new HttpError(401, "the sandbox needs its access token in X-Access-Token");
        }
        ExecuteRequest request = JsonBody.parse(RequestBody.bytes(routing, MAX_REQUEST),
                ExecuteRequest.class);
        if (request.code() == null) {
            throw new HttpError(400, "field 'code' is missing");
        }
        if (request.contextId().isPresent() && request.language().isPresent()) {
            throw new HttpError(400, "Only one of context_id or language can be provided");
        }
        Contexts contexts = contexts(target);
        Context context = request.contextId().isPresent() ? find(contexts, request.contextId().get())
                : contexts.standard(language(request.language().orElse(Language.PYTHON.id())));
        Client client = new Client(routing.vertx(), routing.response());
        try {
            context.execute(request.code(), request.environment().orElse(Map.of()), client);
            client.end();
        } catch (KernelException e) {
            fail(client, e);
        } catch (GuestException e) {
            if (e.kind() == GuestException.Kind.DISCONNECTED) {
                client.abort();
            } else {
                fail(client, e);
            }
        } catch (RuntimeException e) {
            client.abort();
            throw e;
        }
    }

    private static void fail(Client client, RuntimeException cause) {
        client.error("UnexpectedEndOfExecution", cause.getMessage(), "");
        client.end();
    }

    private void create(SandboxTarget target, RoutingContext context) {
        CreateContext request = JsonBody.readOptional(context, CreateContext.class);
        Language language = language(request.language().orElse(Language.PYTHON.id()));
        Responses.json(context, 200, contexts(target).create(language, request.cwd()).info());
    }

    /** The sandbox's contexts; looked for anew when the connection to its guest is a new one. */
    private Contexts contexts(SandboxTarget target) {
        return sandboxes.compute(target.sandboxId(), (id, known) ->
                known != null && known.agent() == target.agent() ? known : new Contexts(target.agent(), files));
    }

    private static Context find(Contexts contexts, String id) {
        return contexts.find(id).orElseThrow(() -> new HttpError(404, "Context " + id + " not found"));
    }

    private static Language language(String name) {
        return Language.named(name).orElseThrow(() -> new HttpError(400,
                "the language '" + name + "' is not available; available: " + Language.all()));
    }

    private static void require(HttpMethod method, HttpMethod expected) {
        if (!method.equals(expected)) {
            throw new HttpError(405, "use " + expected);
        }
    }

    /** What E2B's server says when it has nothing to say. */
    private static void done(RoutingContext context) {
        context.response().putHeader("content-type", "application/json").end("null");
    }

    private static void preflight(HttpServerResponse response) {
        response.setStatusCode(204).putHeader("access-control-allow-methods", "*")
                .putHeader("access-control-allow-headers", "*").end();
    }

    private static void text(HttpServerResponse response, int status, String message) {
        if (response.ended() || response.closed()) {
            return;
        }
        if (response.headWritten()) {
            response.reset();
            return;
        }
        response.setStatusCode(status).putHeader("content-type", "text/plain; charset=utf-8").end(message);
    }
}
