package dev.cube.master;

import java.util.List;
import java.util.Optional;

/**
 * Snapshots, which outlive the sandboxes that they are of. They are taken by {@link Sandboxes#snapshot}. A snapshot is
 * named by its ID or by a name that it has. Thread-safe; calls block and throw {@link MasterException}.
 */
public interface Snapshots {
    SnapshotInfo get(String idOrName);

    /** Whether there is such a snapshot. */
    boolean exists(String idOrName);

    /**
     * Newest first.
     *
     * @param sandboxId only those of this sandbox
     * @param name      only those with this name, with any tag unless it has one, or this ID
     * @param nextToken of the page before, as it was given
     */
    Page list(Optional<String> sandboxId, Optional<String> name, int limit, Optional<String> nextToken);

    /** Deletes a snapshot. What was made from it goes on, and keeps what it needs of its files. */
    void delete(String idOrName);

    /** A page of a listing, and what to ask the next one with. */
    record Page(List<SnapshotInfo> snapshots, Optional<String> nextToken) {}
}
