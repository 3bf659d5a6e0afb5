package dev.cube.master;

import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * A snapshot.
 *
 * @param names        {@code name:tag}; what it can be asked for by, beside its ID
 * @param sandboxId    of which it was taken; that sandbox may be gone
 * @param templateId   which that sandbox came from
 * @param state        {@code USABLE}: it would not survive the machine
 * @param reason       why it is not durable yet, where it could not be made so; that is tried again
 * @param writtenBytes of guest memory, for this snapshot alone; where that is known
 */
public record SnapshotInfo(String id, List<String> names, String sandboxId, String templateId, Instant createdAt,
        State state, Optional<String> reason, OptionalLong writtenBytes, int cpuCount, int memoryMib, int diskMib) {

    public enum State { USABLE, DURABLE }
}
