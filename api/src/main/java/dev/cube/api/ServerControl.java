package dev.cube.api;

/** How the API has its server stopped. */
@FunctionalInterface
public interface ServerControl {
    /** Begins to stop the server and returns; sandboxes run on unless they are to be killed. */
    void shutdown(boolean killSandboxes);
}
