package dev.cube.master;

import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * A sandbox as the database keeps it.
 *
 * @param vmId       the VM that it runs in, if it runs
 * @param identified whether its agent has taken up the sandbox's identity
 * @param startedAt  in whole milliseconds, as {@code endAt}, which of a paused one is when it was paused
 * @param timeout    that it was made with
 */
record SandboxRow(String id, String templateId, SandboxInfo.State state, Optional<String> vmId, boolean identified,
        Instant startedAt, Instant endAt, int cpuCount, int memoryMib, int diskMib, Map<String, String> metadata,
        Map<String, String> environment, Optional<String> accessToken, Duration timeout, OnTimeout onTimeout,
        SandboxNetwork network) {

    SandboxRow withEndAt(Instant end) {
        return new SandboxRow(id, templateId, state, vmId, identified, startedAt, end, cpuCount, memoryMib, diskMib,
                metadata, environment, accessToken, timeout, onTimeout, network);
    }

    SandboxRow withNetwork(SandboxNetwork newNetwork) {
        return new SandboxRow(id, templateId, state, vmId, identified, startedAt, endAt, cpuCount, memoryMib, diskMib,
                metadata, environment, accessToken, timeout, onTimeout, newNetwork);
    }

    SandboxRow paused(Instant now) {
        return new SandboxRow(id, templateId, SandboxInfo.State.PAUSED, Optional.empty(), false, startedAt, now, cpuCount,
                memoryMib, diskMib, metadata, environment, accessToken, timeout, onTimeout, network);
    }

    /** The same sandbox in another VM, which has not taken up its identity yet. */
    SandboxRow in(String vm, Instant end) {
        return new SandboxRow(id, templateId, SandboxInfo.State.RUNNING, Optional.of(vm), false, startedAt, end, cpuCount,
                memoryMib, diskMib, metadata, environment, accessToken, timeout, onTimeout, network);
    }

    SandboxRow with(OnTimeout action) {
        return new SandboxRow(id, templateId, state, vmId, identified, startedAt, endAt, cpuCount, memoryMib, diskMib,
                metadata, environment, accessToken, timeout, action, network);
    }

    /** Another sandbox with all that this one was made with, and its own token. */
    SandboxRow copy(String copyId, String vm, Instant now, Instant end) {
        return new SandboxRow(copyId, templateId, SandboxInfo.State.RUNNING, Optional.of(vm), false, now, end, cpuCount,
                memoryMib, diskMib, metadata, environment, accessToken.map(token -> RandomNames.accessToken()),
                Duration.between(now, end), onTimeout, network);
    }

    SandboxInfo info(Optional<String> alias) {
        return new SandboxInfo(id, templateId, alias, state, startedAt, endAt, cpuCount, memoryMib, diskMib, metadata,
                accessToken, onTimeout, network);
    }
}
