package dev.cube.master;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * A sandbox as its owner sees it.
 *
 * @param alias       an alias of its template, if it has one
 * @param endAt       when its timeout ends; when a paused one was paused
 * @param accessToken required on data-plane calls of a secure sandbox
 */
public record SandboxInfo(String id, String templateId, Optional<String> alias, State state, Instant startedAt,
        Instant endAt, int cpuCount, int memoryMib, int diskMib, Map<String, String> metadata,
        Optional<String> accessToken, OnTimeout onTimeout, SandboxNetwork network) {

    public enum State { RUNNING, PAUSED }

    /** What requests to the sandbox's ports must carry, where these are not public. */
    public Optional<String> trafficToken() {
        return network.restrictsTraffic() ? accessToken.map(TrafficToken::of) : Optional.empty();
    }
}
