package dev.cube.sdk;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.Instant;
import java.util.Map;

/**
 * A sandbox as the server lists it, in the shape of E2B's {@code SandboxDetail}.
 *
 * @param alias    of its template; null if it has none
 * @param state    {@code running} or {@code paused}
 * @param endAt    when its timeout ends
 * @param metadata as given at creation; null if none
 */
public record SandboxInfo(
        @JsonProperty("sandboxID") String id,
        @JsonProperty("templateID") String templateId,
        String alias,
        String state,
        Instant startedAt,
        Instant endAt,
        int cpuCount,
        int memoryMB,
        int diskSizeMB,
        Map<String, String> metadata) {}
