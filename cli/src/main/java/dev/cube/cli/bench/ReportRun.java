package dev.cube.cli.bench;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.cube.cli.Output;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Every measurement of one report, as it is kept in a file, so that reports can be put side by side.
 *
 * @param name       of the column, such as the way that sandboxes are made
 * @param finishedAt RFC 3339
 * @param machine    what it was measured on, by names
 */
record ReportRun(String name, String finishedAt, Map<String, String> machine, List<Entry> benchmarks) {
    private static final JsonMapper JSON =
            JsonMapper.builder().disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES).build();

    /**
     * A measurement.
     *
     * @param command the arguments of {@code cube-bench}
     * @param report  a {@link BenchReport} in JSON; null where it ended with an error
     * @param error   null where it ended well
     */
    record Entry(String command, JsonNode report, String error) {
        static Entry of(String command, BenchReport report) {
            try {
                return new Entry(command, JSON.readTree(Output.json(report)), null);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }

        private boolean is(ReportPlan.Section section, ReportPlan.Row row) {
            if (report == null || !section.benchmark().equals(report.path("benchmark").asText())) {
                return false;
            }
            for (int i = 0; i < row.key().size(); i++) {
                if (report.at(section.keys().get(i).figure()).asDouble() != row.key().get(i)) {
                    return false;
                }
            }
            return true;
        }
    }

    static ReportRun read(Path file) {
        try {
            ReportRun run = JSON.readValue(file.toFile(), ReportRun.class);
            if (run.name == null || run.machine == null || run.benchmarks == null) {
                throw new IllegalStateException("%s is not what cube-bench report wrote".formatted(file));
            }
            return run;
        } catch (IOException e) {
            throw new IllegalStateException("cannot read %s: %s".formatted(file,
                    Optional.ofNullable(e.getMessage()).map(m -> m.lines().findFirst().orElse("")).orElse("")), e);
        }
    }

    void write(Path file) throws IOException {
        Files.writeString(file, Output.json(this) + System.lineSeparator());
    }

    /** The measurement for a row of a table. */
    Optional<Entry> find(ReportPlan.Section section, ReportPlan.Row row) {
        return benchmarks.stream().filter(entry -> entry.is(section, row)).reduce((first, second) -> second);
    }
}
