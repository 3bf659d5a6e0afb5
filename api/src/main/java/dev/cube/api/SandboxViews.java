package dev.cube.api;

import dev.cube.master.SandboxInfo;
import java.time.Instant;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** Sandboxes as E2B's OpenAPI document has them: {@code Sandbox}, {@code ListedSandbox}, {@code SandboxDetail}. */
final class SandboxViews {
    /** Clients of before 2024 pasted it behind the sandbox ID; it means nothing, but must be there. */
    private static final String CLIENT_ID = "cube";

    private final ApiSettings settings;

    SandboxViews(ApiSettings settings) {
        this.settings = settings;
    }

    record Connection(String sandboxID, String templateID, Optional<String> alias, String clientID,
            String envdVersion, Optional<String> envdAccessToken, Optional<String> trafficAccessToken,
            String domain) {}

    record Listed(String sandboxID, String templateID, Optional<String> alias, String clientID, Instant startedAt,
            Instant endAt, int cpuCount, int memoryMB, int diskSizeMB, Map<String, String> metadata, String state,
            String envdVersion) {}

    record Detail(String sandboxID, String templateID, Optional<String> alias, String clientID, Instant startedAt,
            Instant endAt, int cpuCount, int memoryMB, int diskSizeMB, Map<String, String> metadata, String state,
            String envdVersion, Optional<String> envdAccessToken, Optional<Boolean> allowInternetAccess,
            String domain, Optional<NetworkConfig> network, Lifecycle lifecycle) {}

    record Lifecycle(boolean autoResume, String onTimeout) {}

    Connection connection(SandboxInfo sandbox) {
        return new Connection(sandbox.id(), sandbox.templateId(), sandbox.alias(), CLIENT_ID, settings.envdVersion(),
                sandbox.accessToken(), sandbox.trafficToken(), settings.domain());
    }

    Listed listed(SandboxInfo sandbox) {
        return new Listed(sandbox.id(), sandbox.templateId(), sandbox.alias(), CLIENT_ID, sandbox.startedAt(),
                sandbox.endAt(), sandbox.cpuCount(), sandbox.memoryMib(), sandbox.diskMib(), sandbox.metadata(),
                state(sandbox), settings.envdVersion());
    }

    Detail detail(SandboxInfo sandbox) {
        return new Detail(sandbox.id(), sandbox.templateId(), sandbox.alias(), CLIENT_ID, sandbox.startedAt(),
                sandbox.endAt(), sandbox.cpuCount(), sandbox.memoryMib(), sandbox.diskMib(), sandbox.metadata(),
                state(sandbox), settings.envdVersion(), sandbox.accessToken(),
                sandbox.network().internetAccess(), settings.domain(), NetworkConfig.of(sandbox.network()),
                new Lifecycle(sandbox.onTimeout().resumes(), sandbox.onTimeout().pauses() ? "pause" : "kill"));
    }

    private static String state(SandboxInfo sandbox) {
        return sandbox.state().name().toLowerCase(Locale.ROOT);
    }
}
