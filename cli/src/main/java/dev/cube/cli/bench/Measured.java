package dev.cube.cli.bench;

import java.util.ArrayList;
import java.util.List;

/**
 * What a benchmark found.
 *
 * @param table  the figures for people
 * @param report the figures for programs
 * @param notes  what else there is to say
 */
record Measured(BenchTable table, BenchReport report, List<String> notes) {
    static Measured of(BenchTable table, BenchReport report) {
        List<String> notes = new ArrayList<>();
        report.failures().stream().findFirst().ifPresent(message -> notes.add(
                "%d failed, the first with: %s".formatted(report.failures().size(), message)));
        return new Measured(table, report, notes);
    }

    Measured withNote(String note) {
        List<String> all = new ArrayList<>(notes);
        all.add(note);
        return new Measured(table, report, List.copyOf(all));
    }
}
