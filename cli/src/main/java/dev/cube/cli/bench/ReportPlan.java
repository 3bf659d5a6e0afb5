package dev.cube.cli.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * What a report consists of: which measurements, what of them it shows, and what the reference published for the same.
 * All of it is in the resource {@code report.json}.
 *
 * @param machine that the reference's figures are from
 */
record ReportPlan(String machine, List<Headline> summary, List<Section> sections, List<PlotPlan> plots) {
    /**
     * A figure for the summary.
     *
     * @param referenceColumn where the reference has it under another name; null: the same
     */
    record Headline(String label, String section, List<Double> key, String column, String referenceColumn) {
        String columnOf(boolean reference) {
            return reference && referenceColumn != null ? referenceColumn : column;
        }
    }

    /**
     * A table.
     *
     * @param benchmark whose figures it shows
     * @param keys      what tells its rows apart
     */
    record Section(String id, String title, String note, String benchmark, List<Column> keys, List<Column> columns,
            List<Row> rows) {
        Column column(String name) {
            return columns.stream().filter(column -> column.name.equals(name)).findFirst()
                    .orElseThrow(() -> new IllegalArgumentException("%s has no column '%s'".formatted(id, name)));
        }

        Row row(List<Double> key) {
            return rows.stream().filter(row -> row.key.equals(key)).findFirst()
                    .orElseThrow(() -> new IllegalArgumentException("%s has no row %s".formatted(id, key)));
        }
    }

    /** @param figure JSON pointer into a {@link BenchReport} */
    record Column(String name, String figure) {}

    /**
     * A measurement.
     *
     * @param run       arguments of {@code cube-bench}
     * @param quick     the same for a short report; null: left out there
     * @param reference by the names of columns: numbers, or text where a number was not published
     */
    record Row(List<Double> key, String run, String quick, Map<String, JsonNode> reference) {}

    /** A plot of columns of a section by its first key. */
    record PlotPlan(String title, String x, String section, List<Line> lines) {}

    /** @param label empty where the plot has one line only */
    record Line(String column, String label) {}

    static ReportPlan load() {
        try (InputStream in = ReportPlan.class.getResourceAsStream("report.json")) {
            return JsonMapper.builder().build().readValue(in, ReportPlan.class);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    Section section(String id) {
        return sections.stream().filter(section -> section.id.equals(id)).findFirst()
                .orElseThrow(() -> new IllegalArgumentException("there is no section " + id));
    }

    /** The command lines to run, each once. */
    List<String> commands(boolean quick, Predicate<String> benchmark) {
        return sections.stream().filter(section -> benchmark.test(section.benchmark)).map(Section::rows).flatMap(List::stream)
                .map(row -> quick ? row.quick : row.run)
                .flatMap(Stream::ofNullable)
                .distinct().toList();
    }
}
