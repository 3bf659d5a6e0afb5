package dev.cube.master;

import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * A snapshot as the database keeps it.
 *
 * @param durable     whether its files are known to be on disk
 * @param environment of the sandbox
 */
record SnapshotRow(String id, String sandboxId, String templateId, Instant createdAt, boolean durable,
        OptionalLong writtenBytes, int cpuCount, int memoryMib, int diskMib, Map<String, String> environment) {

    static SnapshotRow of(String id, SandboxRow sandbox, Instant now) {
        return new SnapshotRow(id, sandbox.id(), sandbox.templateId(), now, false, OptionalLong.empty(),
                sandbox.cpuCount(), sandbox.memoryMib(), sandbox.diskMib(), sandbox.environment());
    }

    SnapshotRow durable(OptionalLong written) {
        return new SnapshotRow(id, sandboxId, templateId, createdAt, true, written, cpuCount, memoryMib, diskMib,
                environment);
    }

    /** @param reason why it is not durable, if it could not be made so */
    SnapshotInfo info(List<String> names, Optional<String> reason) {
        return new SnapshotInfo(id, names, sandboxId, templateId, createdAt,
                durable ? SnapshotInfo.State.DURABLE : SnapshotInfo.State.USABLE, reason, writtenBytes, cpuCount, memoryMib,
                diskMib);
    }
}
