package dev.cube.cli.bench;

import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.SandboxOptions;
import java.io.PrintWriter;
import java.time.Duration;

/**
 * The Cube that is measured.
 *
 * @param options of the sandboxes
 * @param plain   whether progress is told in lines
 */
record Target(CubeClient client, SandboxOptions options, PrintWriter err, boolean plain)
        implements AutoCloseable {
    private static final Duration SETTLE = Duration.ofMillis(300);
    private static final Duration SETTLE_EACH = Duration.ofMillis(100);
    private static final int CLIENT_WARM_UP = 400;
    private static final String NO_SANDBOX = "none";

    /**
     * Has the client make requests that change nothing, so that what is measured is not how the JVM begins: a request takes it
     * 3 ms more before its code has been compiled.
     *
     * @throws CubeException if no server answers
     */
    void warmUpClient() {
        client.serverInfo();
        Load.run(1, CLIENT_WARM_UP, Progress.NONE, () -> {
            client.setTimeout(NO_SANDBOX, options.timeout());
            return NO_SANDBOX;
        });
    }

    Progress progress(String what, int total) {
        return Progress.start(err, what, total, plain);
    }

    /** New sandboxes, idle. */
    SandboxGroup idleSandboxes(int count) throws InterruptedException {
        SandboxGroup sandboxes = SandboxGroup.create(count, () -> client.create(options));
        try {
            settle(count);
            return sandboxes;
        } catch (InterruptedException e) {
            sandboxes.close();
            throw e;
        }
    }

    /**
     * Leaves everything alone until sandboxes are idle, and until the server has made up for so many that were made: a
     * blank VM that was used up takes it some 30 ms of processor time to replace.
     */
    void settle(int sandboxes) throws InterruptedException {
        Thread.sleep(SETTLE.plus(SETTLE_EACH.multipliedBy(sandboxes)));
    }

    @Override
    public void close() {
        client.close();
    }
}
