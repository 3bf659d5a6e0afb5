package dev.cube.image;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** Runs a command of the system to its end, in the C locale, without input. */
final class Tool {
    private static final List<String> DIRECTORIES = List.of("/usr/sbin", "/usr/bin", "/sbin", "/bin");
    private static final int MAX_OUTPUT = 4096;

    /** @param output the start of standard output and standard error together */
    record Result(int exitCode, String output) {}

    private Tool() {}

    static Result run(Map<String, String> environment, String name, String debianPackage, List<String> arguments)
            throws IOException {
        StringBuilder output = new StringBuilder();
        int exitCode = run(environment, name, debianPackage, arguments, line -> {
            if (output.length() < MAX_OUTPUT) {
                output.append(line, 0, Math.min(line.length(), MAX_OUTPUT)).append('\n');
            }
        });
        return new Result(exitCode, output.toString().strip());
    }

    static int run(Map<String, String> environment, String name, String debianPackage, List<String> arguments,
            Consumer<String> lines) throws IOException {
        List<String> command = new ArrayList<>(List.of(find(name, debianPackage)));
        command.addAll(arguments);
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true)
                .redirectInput(ProcessBuilder.Redirect.from(new File("/dev/null")));
        builder.environment().put("LC_ALL", "C");
        builder.environment().putAll(environment);
        Process process = builder.start();
        try (BufferedReader reader = process.inputReader(StandardCharsets.ISO_8859_1)) {
            // Reading does not notice an interrupt; the end of the process ends the reading.
            Thread caller = Thread.currentThread();
            Thread.ofVirtual().start(() -> endOnInterrupt(process, caller));
            reader.lines().forEach(lines);
            return process.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new ImageException("interrupted", e);
        } finally {
            process.destroyForcibly();
        }
    }

    private static void endOnInterrupt(Process process, Thread caller) {
        try {
            while (!process.waitFor(Duration.ofMillis(200))) {
                if (caller.isInterrupted()) {
                    process.destroyForcibly();
                }
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
        }
    }

    private static String find(String name, String debianPackage) {
        return DIRECTORIES.stream().map(directory -> Path.of(directory, name)).filter(Files::isExecutable).findFirst()
                .map(Path::toString)
                .orElseThrow(() -> new ImageException(
                        "%s is missing: apt-get install %s".formatted(name, debianPackage)));
    }
}
