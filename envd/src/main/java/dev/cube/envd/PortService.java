package dev.cube.envd;

import io.vertx.ext.web.RoutingContext;

/**
 * A port of every sandbox that the host serves in the guest's place. Thread-safe; one instance serves all sandboxes.
 *
 * <p>An implementation checks {@link SandboxTarget#admits} itself, because some of its routes may be open to all.
 */
public interface PortService {
    /**
     * How the tags begin of processes that the host starts in the guest for its own ends, such as an interpreter. Clients
     * neither see them nor can start one.
     */
    String OWN_TAG_PREFIX = "cube-interpreter/";

    /** The port, as it appears in the sandbox's host name. */
    int port();

    /**
     * Serves one request. Called on a virtual thread of the request's own, so it may block; the request is paused. An
     * exception becomes an error in the API's shape, see {@link dev.cube.http.BlockingHandler}.
     */
    void handle(SandboxTarget target, RoutingContext context) throws Exception;

    /** The sandbox, or the VM that it ran in, is gone: lets go of all that is held for it. Unknown IDs are ignored. */
    void forget(String sandboxId);
}
