package dev.cube.sdk;

import java.time.Duration;
import java.util.Optional;

/**
 * Clones to make of a sandbox.
 *
 * @param count       how many
 * @param concurrency how many are made at a time; empty: all
 * @param timeout     after which each is ended, or paused if the sandbox is to be; empty: the server's default
 */
public record CloneOptions(int count, Optional<Integer> concurrency, Optional<Duration> timeout) {
    /** So many, all at a time. */
    public static CloneOptions of(int count) {
        return new CloneOptions(count, Optional.empty(), Optional.empty());
    }

    public CloneOptions withConcurrency(int newConcurrency) {
        return new CloneOptions(count, Optional.of(newConcurrency), timeout);
    }

    public CloneOptions withTimeout(Duration newTimeout) {
        return new CloneOptions(count, concurrency, Optional.of(newTimeout));
    }
}
