package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * Sandboxes: made, listed, kept alive, captured, copied, ended. Thread-safe; calls block and throw
 * {@link MasterException}. What captures or changes one sandbox is done one after the other.
 */
public interface Sandboxes {
    SandboxInfo create(CreateSandbox request);

    SandboxInfo get(String id);

    /** @param nextToken of the page before, as it was given to the same query */
    Page list(SandboxQuery query, int limit, Optional<String> nextToken);

    /** Ends a running sandbox this long from now, earlier or later than before. */
    SandboxInfo setTimeout(String id, Duration timeout);

    /** Keeps a running sandbox alive at least this long from now; never shortens its time. */
    SandboxInfo extend(String id, Duration timeout);

    /**
     * Replaces what a running sandbox may connect to.
     *
     * @param internetAccess stays as it was if absent
     */
    void updateEgress(String id, SandboxNetwork.Egress egress, Optional<Boolean> internetAccess);

    /** Kills the sandbox, running or paused; {@code NOT_FOUND} if there is none. */
    void kill(String id);

    /**
     * Takes a snapshot of a running sandbox, which goes on.
     *
     * @param name    of the form {@code name[:tag]}; taken over from the snapshot that has it
     * @param durable whether to wait until it would survive the machine
     */
    SnapshotInfo snapshot(String id, Optional<String> name, boolean durable);

    /**
     * Takes a running sandbox back to a snapshot of itself, with its processes and memory of then; identity, tokens and
     * timeout stay. {@code FORBIDDEN} if the snapshot is another's.
     */
    SandboxInfo rollback(String id, String snapshot);

    /**
     * Makes sandboxes in the state of a running one, which goes on: all of them, or none.
     *
     * @param concurrency how many are started at a time
     * @param timeout     theirs; absent: they end when the source does
     */
    List<SandboxInfo> copy(String id, int count, int concurrency, Optional<Duration> timeout);

    /** As {@link #copy}, each on its own: one result for each. Fails only where none was attempted. */
    List<ForkResult> fork(String id, int count, Duration timeout);

    /**
     * Writes a running sandbox to disk and frees what it held; {@code CONFLICT} if it is paused.
     *
     * @param keepMemory otherwise its disk alone is kept, and it boots when it goes on
     */
    void pause(String id, boolean keepMemory);

    /**
     * Has a paused sandbox go on; {@code CONFLICT} if it runs.
     *
     * @param autoPause  whether it is to be paused at the end of its timeout; absent: as before
     * @param keepMemory otherwise it boots from its disk, as one does that was paused without its memory
     */
    SandboxInfo resume(String id, Duration timeout, Optional<Boolean> autoPause, boolean keepMemory);

    /** {@link #extend}s a running sandbox, {@link #resume}s a paused one. */
    Connected connect(String id, Duration timeout, boolean keepMemory);

    /** The running sandbox behind an ID. */
    Optional<Sandbox> running(String id);

    /**
     * The running sandbox behind an ID, for a request to one of its ports. One that was paused with its memory, and is to go
     * on when it is used, has been resumed when this returns.
     */
    Optional<Sandbox> reachable(String id);

    /**
     * A page of a listing.
     *
     * @param nextToken    what to ask the next page with
     * @param totalRunning how many sandboxes that match are running, on all pages
     */
    record Page(List<SandboxInfo> sandboxes, Optional<String> nextToken, int totalRunning) {}

    /** One of several forks: the sandbox, or why there is none. */
    record ForkResult(Optional<SandboxInfo> sandbox, Optional<MasterException> failure) {}

    /** @param resumed whether it had been paused */
    record Connected(SandboxInfo sandbox, boolean resumed) {}
}
