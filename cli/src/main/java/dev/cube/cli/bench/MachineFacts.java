package dev.cube.cli.bench;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** What figures are from: this machine, which is taken for the server's, and the server. */
final class MachineFacts {
    private MachineFacts() {}

    static Map<String, String> of(JsonNode serverInfo) {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("processors", "%d, %s".formatted(Runtime.getRuntime().availableProcessors(),
                field(Path.of("/proc/cpuinfo"), "model name").orElse("unknown")));
        field(Path.of("/proc/meminfo"), "MemTotal").map(MachineFacts::gibibytes)
                .ifPresent(memory -> facts.put("memory", memory));
        facts.put("kernel", System.getProperty("os.name") + " "
                + System.getProperty("os.version").replaceFirst("-.*", ""));
        facts.put("accelerator", serverInfo.path("accelerator").asText("unknown"));
        facts.put("Cube", serverInfo.path("version").asText("unknown"));
        return facts;
    }

    private static String gibibytes(String kibibytes) {
        return Math.round(Long.parseLong(kibibytes.replaceAll("\\D", "")) / 1048576.0) + " GiB";
    }

    private static Optional<String> field(Path file, String name) {
        try {
            return Files.readAllLines(file).stream().filter(line -> line.startsWith(name))
                    .map(line -> line.substring(line.indexOf(':') + 1).strip()).findFirst();
        } catch (IOException e) {
            return Optional.empty();
        }
    }
}
