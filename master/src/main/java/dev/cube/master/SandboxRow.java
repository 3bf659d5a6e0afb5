package dev.cube.master;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * A sandbox as the database keeps it.
 *
 * @param vmId       the VM that it runs in, if it runs
 * @param identified whether its agent has taken up the sandbox's identity
 * @param startedAt  in whole milliseconds, as {@code endAt}
 */
record SandboxRow(String id, String templateId, SandboxInfo.State state, Optional<String> vmId, boolean identified,
        Instant startedAt, Instant endAt, int cpuCount, int memoryMib, int diskMib, Map<String, String> metadata,
        Map<String, String> environment, Optional<String> accessToken, boolean autoPause,
        SandboxNetwork network) {

    SandboxRow withEndAt(Instant end) {
        return new SandboxRow(id, templateId, state, vmId, identified, startedAt, end, cpuCount, memoryMib, diskMib,
                metadata, environment, accessToken, autoPause, network);
    }

    SandboxRow withNetwork(SandboxNetwork newNetwork) {
        return new SandboxRow(id, templateId, state, vmId, identified, startedAt, endAt, cpuCount, memoryMib, diskMib,
                metadata, environment, accessToken, autoPause, newNetwork);
    }

    SandboxInfo info(Optional<String> alias) {
        return new SandboxInfo(id, templateId, alias, state, startedAt, endAt, cpuCount, memoryMib, diskMib, metadata,
                accessToken, autoPause, network);
    }
}
