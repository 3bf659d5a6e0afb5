package dev.cube.cubelet;

import java.util.Map;

/** The state of a sandbox at one instant, to make others from. Thread-safe; calls block. */
public interface FrozenSandbox extends AutoCloseable {
    /** As {@link Cubelet#create}, in this state. */
    Sandbox start(String id, Map<String, String> environment);

    /** As {@link #start}, but no other can be started any more, whether this succeeds or not. */
    Sandbox startLast(String id, Map<String, String> environment);

    /** Lets go of the state; what was started from it goes on. Idempotent. */
    @Override
    void close();
}
