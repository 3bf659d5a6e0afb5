package dev.cube.master;

import java.time.Instant;
import java.util.List;
import java.util.OptionalLong;

/**
 * A snapshot.
 *
 * @param names        {@code name:tag}; what it can be asked for by, beside its ID
 * @param sandboxId    of which it was taken; that sandbox may be gone
 * @param templateId   which that sandbox came from
 * @param state        {@code USABLE}: it would not survive the machine
 * @param writtenBytes of guest memory, for this snapshot alone; where that is known
 */
public record SnapshotInfo(String id, List<String> names, String sandboxId, String templateId, Instant createdAt,
        State state, OptionalLong writtenBytes, int cpuCount, int memoryMib, int diskMib) {

    public enum State { USABLE, DURABLE }
}
