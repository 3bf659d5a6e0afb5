package dev.cube.cli.bench;

import java.util.List;
import java.util.function.Predicate;

/**
 * How a guest was held up; milliseconds.
 *
 * <p>A stopped guest's own clock stands still, so the guest alone cannot tell. It sends readings of its clock, and the
 * host notes when each comes. The difference of the two is a constant plus the reading's way, which varies but has a
 * least; what the least grows by over an event is how long the guest's clock stood still. To that comes the longest
 * time between two readings of its clock that a process in the guest saw, which also holds what slowed the guest while
 * its clock went on. Where a guest's clock goes on while it is stopped, as some do under KVM, the first part is zero and
 * the second has it all.
 *
 * @param stopped    the guest's clock stood still
 * @param longestGap by the guest's clock, between two readings that a process takes one millisecond apart
 * @param usualGap   the longest such gap in as much of a second as was seen before the event; NaN if nothing was
 */
record Stall(double stopped, double longestGap, double usualGap) {
    static final Stall UNKNOWN = new Stall(Double.NaN, Double.NaN, Double.NaN);

    /** Gaps that ended before are of the event if they are told this soon after: a reading is told every 10 ms. */
    private static final long TOLD_LATE_NANOS = 20_000_000;
    private static final long BEFORE_NANOS = 1_000_000_000;

    /**
     * A reading that came.
     *
     * @param arrived by the host's {@link System#nanoTime}
     * @param guest   the guest's CLOCK_MONOTONIC, nanoseconds
     * @param gap     the longest gap since the reading before this one, nanoseconds
     */
    record Reading(long arrived, long guest, long gap) {
        long difference() {
            return arrived - guest;
        }
    }

    /**
     * @param from before the event, by the host's clock
     * @param over the guest goes on
     * @param to   what came of the event is over too
     */
    static Stall of(List<Reading> readings, long from, long over, long to) {
        var before = within(readings, reading -> reading.arrived < from && reading.arrived >= from - BEFORE_NANOS);
        var during = within(readings, reading -> reading.arrived >= from && reading.arrived <= to + TOLD_LATE_NANOS);
        var after = within(readings, reading -> reading.arrived > over);
        if (before.isEmpty() || during.isEmpty() || after.isEmpty()) {
            return UNKNOWN;
        }
        long stopped = least(after) - least(before);
        return new Stall(Math.max(0, stopped) / 1e6, longest(during), longest(before));
    }

    /** No process in the guest was held up for longer. */
    double total() {
        return stopped + longestGap;
    }

    private static List<Reading> within(List<Reading> readings, Predicate<Reading> window) {
        return readings.stream().filter(window).toList();
    }

    private static long least(List<Reading> readings) {
        return readings.stream().mapToLong(Reading::difference).min().orElseThrow();
    }

    private static double longest(List<Reading> readings) {
        return readings.stream().mapToLong(Reading::gap).max().orElseThrow() / 1e6;
    }
}
