package dev.cube.sdk;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.Instant;
import java.util.List;

/**
 * A snapshot: memory and disk of a sandbox at one instant. It outlives its sandbox.
 *
 * @param id           sandboxes are created from it as from a template's
 * @param names        it can also be asked for by
 * @param sandboxId    of the sandbox that it was taken of
 * @param templateId   of the template that this sandbox comes from
 * @param state        {@code usable}, or {@code durable} once it would survive the death of the machine too
 * @param reason       why it is not durable yet, if writing it has failed; that is tried again. Null otherwise
 * @param writtenBytes what had to be written for it; null until it is durable
 */
public record SnapshotInfo(
        @JsonProperty("snapshotID") String id,
        List<String> names,
        @JsonProperty("sandboxID") String sandboxId,
        @JsonProperty("templateID") String templateId,
        Instant createdAt,
        String state,
        String reason,
        Long writtenBytes,
        int cpuCount,
        int memoryMB) {

    public SnapshotInfo {
        names = names == null ? List.of() : List.copyOf(names);
    }

    @JsonIgnore
    public boolean isDurable() {
        return "durable".equals(state);
    }
}
