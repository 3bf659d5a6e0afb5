package dev.cube.cli;

import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;

/** Points in time as tables show them. */
final class Times {
    private Times() {}

    /** RFC 3339 to the second, UTC; empty for none. */
    static String exact(Instant time) {
        return time == null ? "" : time.truncatedTo(ChronoUnit.SECONDS).toString();
    }

    /** How long ago, in the largest fitting unit: {@code 3m}. */
    static String age(Instant time, Instant now) {
        return time == null ? "" : length(Duration.between(time, now));
    }

    /** How long until, likewise. */
    static String left(Instant time, Instant now) {
        return time == null ? "" : length(Duration.between(now, time));
    }

    private static String length(Duration duration) {
        long seconds = Math.max(0, duration.toSeconds());
        if (seconds < 120) {
            return seconds + "s";
        }
        if (seconds < 2 * 3600) {
            return seconds / 60 + "m";
        }
        return seconds < 2 * 86400 ? seconds / 3600 + "h" : seconds / 86400 + "d";
    }
}
