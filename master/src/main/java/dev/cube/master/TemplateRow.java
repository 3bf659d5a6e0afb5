package dev.cube.master;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * A template as the database keeps it.
 *
 * @param wantedAliases taken over when it is ready
 */
record TemplateRow(String id, State state, String image, int cpuCount, int memoryMib, long diskBytes,
        List<Integer> exposedPorts, Optional<Integer> probePort, List<String> wantedAliases, Instant createdAt,
        Instant updatedAt, String jobId, String reason, long spawnCount) {

    /** {@code DELETED}: no longer to be seen, but sandboxes still run from its files. */
    enum State { BUILDING, READY, FAILED, DELETED }

    TemplateRow with(State newState, String newReason, Instant now) {
        return new TemplateRow(id, newState, image, cpuCount, memoryMib, diskBytes, exposedPorts, probePort,
                wantedAliases, createdAt, now, jobId, newReason, spawnCount);
    }

    TemplateRow spawned() {
        return new TemplateRow(id, state, image, cpuCount, memoryMib, diskBytes, exposedPorts, probePort,
                wantedAliases, createdAt, updatedAt, jobId, reason, spawnCount + 1);
    }

    /** The size of the writable disk, rounded up. */
    int diskMib() {
        return Math.toIntExact(Math.ceilDiv(diskBytes, 1L << 20));
    }
}
