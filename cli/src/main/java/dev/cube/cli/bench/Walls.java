package dev.cube.cli.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * How long rounds took, each from its first request sent to its last one done; milliseconds.
 *
 * @param per the average divided by the number of operations in a round
 */
record Walls(int rounds, double avg, double min, double p95, double max, double per) {
    static Walls of(List<Double> walls, int operations) {
        Statistics s = Statistics.of(walls);
        return new Walls(s.count(), s.avg(), s.min(), s.p95(), s.max(), s.avg() / operations);
    }

    /** Collects them by the name of what was done. A round in which something failed has no time, only failures. */
    static final class Collector {
        private final Map<String, List<Double>> walls = new LinkedHashMap<>();
        private final List<String> failures = new ArrayList<>();

        <T> Load.Outcome<T> add(String name, Load.Outcome<T> outcome) {
            List<Double> times = walls.computeIfAbsent(name, key -> new ArrayList<>());
            if (outcome.failures().isEmpty()) {
                times.add(outcome.wallMillis());
            }
            failures.addAll(outcome.failures());
            return outcome;
        }

        /** As many rows as names. */
        Measured measured(String benchmark, int concurrency, int operations, Map<String, Object> parameters) {
            BenchTable table = new BenchTable("ms", "c", "rounds", "wall avg", "min", "p95", "max", "per");
            Map<String, Object> figures = new LinkedHashMap<>();
            walls.forEach((name, times) -> {
                Walls w = of(times, operations);
                figures.put(name, w);
                table.row(name, concurrency, w.rounds(), w.avg(), w.min(), w.p95(), w.max(), w.per());
            });
            return Measured.of(table, BenchReport.of(benchmark, parameters, figures, failures));
        }
    }
}
