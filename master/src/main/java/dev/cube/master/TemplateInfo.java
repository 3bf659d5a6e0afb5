package dev.cube.master;

import java.time.Instant;
import java.util.List;

/**
 * A template.
 *
 * @param image  the OCI image it was made from, as the user wrote it
 * @param jobId  of the job that made or makes it
 * @param reason why it failed; empty otherwise
 */
public record TemplateInfo(String id, List<String> aliases, State state, String image, int cpuCount, int memoryMib,
        int diskMib, List<Integer> exposedPorts, Instant createdAt, Instant updatedAt, String jobId, String reason,
        long spawnCount) {

    public enum State { BUILDING, READY, FAILED }
}
