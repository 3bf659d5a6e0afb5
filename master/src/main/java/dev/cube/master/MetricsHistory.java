package dev.cube.master;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Figures of one sandbox over its whole life, in bounded memory: when it is full, every other one is dropped, and from
 * then on half as many are kept. For one thread at a time.
 */
final class MetricsHistory {
    static final int CAPACITY = 360;

    /** As it is kept in the database: the interval in milliseconds, and figures in the order of their record. */
    record Saved(long interval, List<List<Double>> figures) {}

    private final List<SandboxMetrics> kept = new ArrayList<>();
    private Duration interval;

    /** @param interval the least time between two figures that are kept, at first */
    MetricsHistory(Duration interval) {
        this.interval = interval;
    }

    static MetricsHistory of(Saved saved) {
        var history = new MetricsHistory(Duration.ofMillis(saved.interval()));
        saved.figures().forEach(figures -> history.kept.add(SandboxMetrics.of(figures)));
        return history;
    }

    Saved saved() {
        return new Saved(interval.toMillis(), kept.stream().map(SandboxMetrics::figures).toList());
    }

    /** The latest figures are always there, also where the next ones replace them. */
    void add(SandboxMetrics metrics) {
        int last = kept.size() - 1;
        // Half an interval's tolerance: whoever measures regularly is late by a little, time and again.
        if (last >= 1 && Duration.between(kept.get(last - 1).at(), kept.get(last).at())
                .compareTo(interval.dividedBy(2)) < 0) {
            kept.removeLast();
        }
        kept.add(metrics);
        if (kept.size() > CAPACITY) {
            thin();
        }
    }

    private void thin() {
        for (int i = kept.size() - 2; i > 0; i -= 2) {
            kept.remove(i);
        }
        interval = interval.multipliedBy(2);
    }

    Optional<SandboxMetrics> latest() {
        return kept.isEmpty() ? Optional.empty() : Optional.of(kept.getLast());
    }

    List<SandboxMetrics> between(Optional<Instant> start, Optional<Instant> end) {
        return kept.stream()
                .filter(metrics -> start.stream().noneMatch(metrics.at()::isBefore))
                .filter(metrics -> end.stream().noneMatch(metrics.at()::isAfter))
                .toList();
    }
}
