package dev.cube.cli.bench;

import dev.cube.sdk.CubeClient;
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
