package dev.cube.master;

import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What sandboxes use. Thread-safe; calls block and throw {@link MasterException}. */
public interface Metering {
    /**
     * Oldest first, up to now, over the sandbox's life as far as this server saw it; the older, the sparser.
     *
     * @param start at this moment or later
     * @param end   at this moment or earlier
     */
    List<SandboxMetrics> metrics(String id, Optional<Instant> start, Optional<Instant> end);

    /** The last figures of those of these sandboxes that there are, by their IDs. */
    Map<String, SandboxMetrics> latest(Collection<String> ids);
}
