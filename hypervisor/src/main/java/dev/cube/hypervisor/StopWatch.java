package dev.cube.hypervisor;

import java.util.Locale;

/** Times of the steps of one operation, for the log. */
final class StopWatch {
    private final StringBuilder laps = new StringBuilder();
    private final long begin = System.nanoTime();
    private long last = begin;

    void lap(String name) {
        long now = System.nanoTime();
        laps.append(name).append(' ').append(millis(now - last)).append(", ");
        last = now;
    }

    private static String millis(long nanos) {
        return String.format(Locale.ROOT, "%.2f", nanos / 1e6);
    }

    /** In milliseconds. */
    @Override
    public String toString() {
        return laps + "in all " + millis(last - begin);
    }
}
