package dev.cube.api;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import dev.cube.master.SnapshotInfo;
import dev.cube.master.TemplateInfo;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * Templates as E2B's OpenAPI document has them: {@code Template}, {@code TemplateWithBuilds}. A template has one build,
 * the job that made it. What the document requires but calls nullable is sent as null, since E2B's generated clients
 * fail without it.
 */
final class TemplateViews {
    private final String envdVersion;

    TemplateViews(ApiSettings settings) {
        this.envdVersion = settings.envdVersion();
    }

    record Listed(String templateID, String buildID, int cpuCount, int memoryMB, int diskSizeMB,
            @JsonProperty("public") boolean isPublic, List<String> aliases, List<String> names, Instant createdAt,
            Instant updatedAt, @JsonInclude(JsonInclude.Include.ALWAYS) Optional<String> createdBy,
            @JsonInclude(JsonInclude.Include.ALWAYS) Optional<Instant> lastSpawnedAt, long spawnCount, int buildCount,
            String envdVersion, String buildStatus) {}

    record WithBuilds(String templateID, @JsonProperty("public") boolean isPublic, List<String> aliases,
            List<String> names, Instant createdAt, Instant updatedAt,
            @JsonInclude(JsonInclude.Include.ALWAYS) Optional<Instant> lastSpawnedAt, long spawnCount,
            List<Build> builds) {}

    record Build(String buildID, String status, Instant createdAt, Instant updatedAt, Optional<Instant> finishedAt,
            int cpuCount, int memoryMB, int diskSizeMB, String envdVersion) {}

    record Alias(String templateID, @JsonProperty("public") boolean isPublic) {}

    Listed listed(TemplateInfo template) {
        return new Listed(template.id(), buildId(template), template.cpuCount(), template.memoryMib(),
                template.diskMib(), false, template.aliases(), template.aliases(), template.createdAt(),
                template.updatedAt(), Optional.empty(), Optional.empty(), template.spawnCount(), 1, envdVersion,
                status(template));
    }

    WithBuilds withBuilds(TemplateInfo template) {
        Optional<Instant> finished = template.state() == TemplateInfo.State.BUILDING
                ? Optional.empty() : Optional.of(template.updatedAt());
        var build = new Build(buildId(template), status(template), template.createdAt(), template.updatedAt(),
                finished, template.cpuCount(), template.memoryMib(), template.diskMib(), envdVersion);
        return new WithBuilds(template.id(), false, template.aliases(), template.aliases(), template.createdAt(),
                template.updatedAt(), Optional.empty(), template.spawnCount(), List.of(build));
    }

    WithBuilds withBuilds(SnapshotInfo snapshot) {
        var build = new Build(uuid(snapshot.id()), "ready", snapshot.createdAt(), snapshot.createdAt(),
                Optional.of(snapshot.createdAt()), snapshot.cpuCount(), snapshot.memoryMib(), snapshot.diskMib(),
                envdVersion);
        return new WithBuilds(snapshot.id(), false, List.of(), snapshot.names(), snapshot.createdAt(),
                snapshot.createdAt(), Optional.empty(), 0, List.of(build));
    }

    Alias alias(TemplateInfo template) {
        return new Alias(template.id(), false);
    }

    // The document wants a UUID there.
    private static String buildId(TemplateInfo template) {
        return uuid(template.jobId());
    }

    private static String uuid(String id) {
        return UUID.nameUUIDFromBytes(id.getBytes(StandardCharsets.UTF_8)).toString();
    }

    private static String status(TemplateInfo template) {
        return switch (template.state()) {
            case BUILDING -> "building";
            case READY -> "ready";
            case FAILED -> "error";
        };
    }
}
