package dev.cube.cli.bench;

import dev.cube.cli.Output;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A benchmark's figures for programs; times in milliseconds.
 *
 * @param parameters what it was run with
 * @param figures    what was measured, by name: {@link Statistics} or numbers
 * @param failures   messages of failed operations
 */
record BenchReport(String benchmark, Instant finishedAt, Map<String, Object> parameters, Map<String, Object> figures,
        List<String> failures) {

    static BenchReport of(String benchmark, Map<String, Object> parameters, Map<String, Object> figures,
            List<String> failures) {
        return new BenchReport(benchmark, Instant.now(), new LinkedHashMap<>(parameters),
                new LinkedHashMap<>(figures), failures);
    }

    void write(Path file) {
        try {
            Files.writeString(file, Output.json(this) + System.lineSeparator());
        } catch (IOException e) {
            throw new IllegalStateException("cannot write %s: %s".formatted(file, e.getMessage()), e);
        }
    }
}
