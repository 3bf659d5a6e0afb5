package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** The first processor in {@code /proc/cpuinfo}. */
record CpuInfo(String modelName, Set<String> flags) {

    static CpuInfo read() {
        try {
            return parse(Files.readAllLines(Path.of("/proc/cpuinfo")));
        } catch (IOException e) {
            throw new HypervisorException("cannot read /proc/cpuinfo: " + e.getMessage(), e);
        }
    }

    static CpuInfo parse(List<String> lines) {
        return new CpuInfo(value(lines, "model name"), Set.of(value(lines, "flags").split(" +")));
    }

    private static String value(List<String> lines, String key) {
        return lines.stream()
                .filter(line -> line.startsWith(key) && line.indexOf(':') > 0)
                .map(line -> line.substring(line.indexOf(':') + 1).strip())
                .findFirst().orElse("");
    }

    /** Whether the processor says that it has hardware virtualisation (Intel's or AMD's). */
    boolean hasVirtualisation() {
        return flags.contains("vmx") || flags.contains("svm");
    }
}
