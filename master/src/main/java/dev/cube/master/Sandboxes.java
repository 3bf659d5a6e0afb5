package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Sandboxes: made, listed, kept alive, ended. Thread-safe; calls block and throw {@link MasterException}. */
public interface Sandboxes {
    SandboxInfo create(CreateSandbox request);

    SandboxInfo get(String id);

    /**
     * Newest first.
     *
     * @param metadata  each of these must be in the sandbox's
     * @param states    any of these; empty: any state
     * @param nextToken of the page before, as it was given
     */
    Page list(Map<String, String> metadata, Set<SandboxInfo.State> states, int limit, Optional<String> nextToken);

    /** Ends the sandbox this long from now, earlier or later than before. */
    SandboxInfo setTimeout(String id, Duration timeout);

    /** Keeps the sandbox alive at least this long from now; never shortens its time. */
    SandboxInfo extend(String id, Duration timeout);

    /** Kills the sandbox; {@code NOT_FOUND} if there is none. */
    void kill(String id);

    /** The running sandbox behind an ID, for the data plane. */
    Optional<Sandbox> running(String id);

    /** A page of a listing, and what to ask the next one with. */
    record Page(List<SandboxInfo> sandboxes, Optional<String> nextToken) {}
}
