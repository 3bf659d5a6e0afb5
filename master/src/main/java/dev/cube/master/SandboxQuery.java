package dev.cube.master;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Which sandboxes a listing has, and in which order.
 *
 * @param metadata     each of these must be in the sandbox's
 * @param states       any of these; empty: any state
 * @param startedAfter at this moment or later
 * @param template     ID or alias of the template that they were made from
 * @param order        by the moment they started
 */
public record SandboxQuery(Map<String, String> metadata, Set<SandboxInfo.State> states,
        Optional<Instant> startedAfter, Optional<String> template, Order order) {

    public enum Order { NEWEST_FIRST, OLDEST_FIRST }

    /** All sandboxes, newest first. */
    public static final SandboxQuery ALL = of(Map.of(), Set.of());

    /** Newest first. */
    public static SandboxQuery of(Map<String, String> metadata, Set<SandboxInfo.State> states) {
        return new SandboxQuery(metadata, states, Optional.empty(), Optional.empty(), Order.NEWEST_FIRST);
    }
}
