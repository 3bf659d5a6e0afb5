package dev.cube.master;

import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What happened to each sandbox and in it: events of its life, processes that clients started, and what its guest's
 * kernel printed. Bounded for each sandbox, for some time kept also of those that are gone. Thread-safe.
 */
public interface SandboxLogs {
    enum Level { DEBUG, INFO, WARN, ERROR }

    /**
     * @param at     in whole milliseconds; no two entries of a sandbox have the same
     * @param logger who says it
     * @param fields what else is known
     */
    record Entry(Instant at, Level level, String logger, String message, Map<String, String> fields) {}

    /**
     * Which entries, and how many at most.
     *
     * @param from     this moment or later
     * @param to       before this moment
     * @param backward newest first; otherwise oldest first
     * @param least    this level or a graver one
     * @param search   is in the message
     */
    record Query(Optional<Instant> from, Optional<Instant> to, int limit, boolean backward, Level least,
            Optional<String> search) {}

    /** {@code NOT_FOUND} if there is neither such a sandbox nor a log of it. */
    List<Entry> entries(String sandboxId, Query query);

    /** Adds an entry; what is too long is cut. */
    void record(String sandboxId, Level level, String logger, String message, Map<String, String> fields);
}
