package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** Sandboxes: made, listed, kept alive, ended. Thread-safe; calls block and throw {@link MasterException}. */
public interface Sandboxes {
    SandboxInfo create(CreateSandbox request);

    SandboxInfo get(String id);

    /** @param nextToken of the page before, as it was given to the same query */
    Page list(SandboxQuery query, int limit, Optional<String> nextToken);

    /** Ends the sandbox this long from now, earlier or later than before. */
    SandboxInfo setTimeout(String id, Duration timeout);

    /** Keeps the sandbox alive at least this long from now; never shortens its time. */
    SandboxInfo extend(String id, Duration timeout);

    /**
     * Replaces what a running sandbox may connect to.
     *
     * @param internetAccess stays as it was if absent
     */
    void updateEgress(String id, SandboxNetwork.Egress egress, Optional<Boolean> internetAccess);

    /** Kills the sandbox; {@code NOT_FOUND} if there is none. */
    void kill(String id);

    /** The running sandbox behind an ID, for the data plane. */
    Optional<Sandbox> running(String id);

    /**
     * A page of a listing.
     *
     * @param nextToken    what to ask the next page with
     * @param totalRunning how many sandboxes that match are running, on all pages
     */
    record Page(List<SandboxInfo> sandboxes, Optional<String> nextToken, int totalRunning) {}
}
