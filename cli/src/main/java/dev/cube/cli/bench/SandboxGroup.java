package dev.cube.cli.bench;

import dev.cube.sdk.CubeException;
import dev.cube.sdk.Sandbox;
import java.util.List;

/** Sandboxes that end together. */
record SandboxGroup(List<Sandbox> sandboxes) implements AutoCloseable {
    /** Not so many at a time that setting up a measurement takes the server's last room. */
    private static final int AT_A_TIME = 5;

    /** @throws CubeException if one cannot be made; then there are none */
    static SandboxGroup create(int count, Load.Operation<Sandbox> creation) {
        Load.Outcome<Sandbox> outcome = Load.run(AT_A_TIME, count, Progress.NONE, creation);
        SandboxGroup group = new SandboxGroup(outcome.results());
        if (!outcome.failures().isEmpty()) {
            group.close();
            throw new CubeException("cannot make the sandboxes to measure with: " + outcome.failures().getFirst());
        }
        return group;
    }

    /** What cannot be ended now ends with its timeout. */
    @Override
    public void close() {
        Load.each(AT_A_TIME, sandboxes, Progress.NONE, sandbox -> {
            sandbox.close();
            return sandbox;
        });
    }
}
