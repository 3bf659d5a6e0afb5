package dev.cube.cli.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;

/** The reference's published figures and those of reports, side by side. */
record Comparison(ReportPlan plan, List<ReportRun> runs) {
    static final String REFERENCE = "reference";

    /** A table as text. The first cells of a row are left empty where they are those of the row above. */
    record Table(String title, String note, List<String> headings, List<Row> rows) {}

    /**
     * A line of a table.
     *
     * @param system  whose figures it has: 0 is the reference, 1 the first report
     * @param command that measures it; empty where the line above has told, or nothing does
     */
    record Row(int system, List<String> cells, String command) {}

    /** One more than there are reports: 0 is the reference. */
    int systems() {
        return runs.size() + 1;
    }

    String name(int system) {
        return system == 0 ? REFERENCE : runs.get(system - 1).name();
    }

    /** Every figure of a section: for each of its rows, a line for each system that has something to say. */
    Table table(ReportPlan.Section section) {
        List<String> headings = new ArrayList<>();
        section.keys().forEach(key -> headings.add(key.name()));
        headings.add("");
        section.columns().forEach(column -> headings.add(column.name()));
        List<Row> rows = new ArrayList<>();
        for (ReportPlan.Row row : section.rows()) {
            boolean first = true;
            for (int system = 0; system < systems(); system++) {
                List<JsonNode> figures = new ArrayList<>();
                for (ReportPlan.Column column : section.columns()) {
                    figures.add(figure(system, section, row, column.name()));
                }
                if (figures.stream().allMatch(JsonNode::isMissingNode)) {
                    continue;
                }
                List<String> cells = new ArrayList<>();
                for (double key : row.key()) {
                    cells.add(first ? String.valueOf((long) key) : "");
                }
                cells.add(name(system));
                figures.forEach(figure -> cells.add(text(figure)));
                rows.add(new Row(system, cells, command(system, section, row)));
                first = false;
            }
        }
        return new Table(section.title(), section.note(), headings, rows);
    }

    /** One figure of each of the most important measurements, and how many times the first report beats the reference. */
    Table summary() {
        List<String> headings = new ArrayList<>(List.of("ms"));
        for (int system = 0; system < systems(); system++) {
            headings.add(name(system));
        }
        headings.add(REFERENCE + " / " + name(1));
        List<Row> rows = new ArrayList<>();
        for (ReportPlan.Headline headline : plan.summary()) {
            ReportPlan.Section section = plan.section(headline.section());
            ReportPlan.Row row = section.row(headline.key());
            List<String> cells = new ArrayList<>(List.of(headline.label()));
            for (int system = 0; system < systems(); system++) {
                cells.add(text(figure(system, section, row, headline.columnOf(system == 0))));
            }
            OptionalDouble theirs = number(figure(0, section, row, headline.columnOf(true)));
            OptionalDouble ours = number(figure(1, section, row, headline.column()));
            cells.add(theirs.isPresent() && ours.isPresent() && ours.getAsDouble() > 0
                    ? String.format(Locale.ROOT, "%.1f", theirs.getAsDouble() / ours.getAsDouble()) : "");
            rows.add(new Row(1, cells, ""));
        }
        return new Table("In short", "", headings, rows);
    }

    /** What a system has for a row and a column; a missing node where it has nothing. */
    JsonNode figure(int system, ReportPlan.Section section, ReportPlan.Row row, String column) {
        JsonNode figure = system == 0
                ? row.reference().get(column)
                : runs.get(system - 1).find(section, row)
                        .map(entry -> entry.report().at(section.column(column).figure())).orElse(null);
        return figure == null || "NaN".equals(figure.asText()) ? MissingNode.getInstance() : figure;
    }

    static OptionalDouble number(JsonNode figure) {
        return figure.isNumber() ? OptionalDouble.of(figure.asDouble()) : OptionalDouble.empty();
    }

    private String command(int system, ReportPlan.Section section, ReportPlan.Row row) {
        return system == 0 ? "" : runs.get(system - 1).find(section, row).map(ReportRun.Entry::command).orElse("");
    }

    private static String text(JsonNode figure) {
        return figure.isDouble() ? String.format(Locale.ROOT, "%.1f", figure.asDouble()) : figure.asText("");
    }

    /** What went wrong, in words; empty if nothing did. */
    List<String> faults() {
        List<String> faults = new ArrayList<>();
        for (ReportRun run : runs) {
            for (ReportRun.Entry entry : run.benchmarks()) {
                Optional.ofNullable(entry.error()).ifPresent(error ->
                        faults.add("%s: %s: %s".formatted(run.name(), entry.command(), error)));
                int failed = entry.report() == null ? 0 : entry.report().path("failures").size();
                if (failed > 0) {
                    faults.add("%s: %s: %d failed, the first with: %s".formatted(run.name(), entry.command(), failed,
                            entry.report().path("failures").get(0).asText()));
                }
            }
        }
        return faults;
    }
}
