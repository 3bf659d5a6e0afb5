package dev.cube.sdk;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.Instant;
import java.util.List;

/**
 * A template as the server describes it.
 *
 * @param state      {@code BUILDING}, {@code READY} or {@code FAILED}
 * @param image      the OCI image it was made from
 * @param jobId      of the job that made or makes it
 * @param reason     why it failed; null or empty otherwise
 * @param spawnCount sandboxes made from it so far
 */
public record TemplateInfo(
        @JsonProperty("templateID") String id,
        @JsonProperty("jobID") String jobId,
        List<String> aliases,
        String state,
        String image,
        int cpuCount,
        int memoryMB,
        int diskSizeMB,
        List<Integer> exposedPorts,
        Instant createdAt,
        Instant updatedAt,
        String reason,
        long spawnCount) {

    public TemplateInfo {
        aliases = aliases == null ? List.of() : List.copyOf(aliases);
        exposedPorts = exposedPorts == null ? List.of() : List.copyOf(exposedPorts);
    }

    @JsonIgnore
    public boolean isBuilding() {
        return "BUILDING".equals(state);
    }

    @JsonIgnore
    public boolean isReady() {
        return "READY".equals(state);
    }
}
