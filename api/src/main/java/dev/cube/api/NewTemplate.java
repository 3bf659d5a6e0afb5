package dev.cube.api;

import dev.cube.hypervisor.VmShape;
import dev.cube.master.CreateTemplate;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/** The body of {@code POST /cube/templates}. */
record NewTemplate(Optional<String> image, Optional<Integer> cpuCount, Optional<Integer> memoryMB,
        Optional<Integer> writableLayerSizeMB, Optional<List<Integer>> exposedPorts, Optional<Integer> probePort,
        Optional<List<String>> aliases) {

    private static final int MAX_IMAGE_CHARS = 4096;
    private static final int DEFAULT_WRITABLE_MIB = 1024;
    private static final int MIN_WRITABLE_MIB = 64;
    private static final int MAX_WRITABLE_MIB = 1 << 20;
    private static final int MAX_PORT = 65535;
    private static final int MAX_ENTRIES = 64;
    private static final Pattern ALIAS = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,127}");

    CreateTemplate toRequest() {
        var shape = new VmShape(
                Fields.range("cpuCount", cpuCount.orElse(VmShape.DEFAULT.vcpus()), VmShape.MIN_VCPUS,
                        VmShape.MAX_VCPUS),
                Fields.range("memoryMB", memoryMB.orElse(VmShape.DEFAULT.memoryMib()), VmShape.MIN_MEMORY_MIB,
                        VmShape.MAX_MEMORY_MIB));
        int writableMib = Fields.range("writableLayerSizeMB", writableLayerSizeMB.orElse(DEFAULT_WRITABLE_MIB),
                MIN_WRITABLE_MIB, MAX_WRITABLE_MIB);
        probePort.ifPresent(port -> Fields.range("probePort", port, 1, MAX_PORT));
        return new CreateTemplate(Fields.text("image", Fields.required("image", image), MAX_IMAGE_CHARS), shape,
                (long) writableMib << 20, ports(), probePort, names());
    }

    private List<Integer> ports() {
        List<Integer> ports = entries("exposedPorts", exposedPorts);
        for (int i = 0; i < ports.size(); i++) {
            Fields.range("exposedPorts[" + i + "]", ports.get(i), 1, MAX_PORT);
        }
        return ports;
    }

    private List<String> names() {
        List<String> names = entries("aliases", aliases);
        for (int i = 0; i < names.size(); i++) {
            if (!ALIAS.matcher(names.get(i)).matches()) {
                throw Fields.invalid("aliases[" + i + "]",
                        "must be 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit");
            }
        }
        return names;
    }

    private static <T> List<T> entries(String field, Optional<List<T>> list) {
        List<T> entries = list.orElse(List.of());
        if (entries.size() > MAX_ENTRIES) {
            throw Fields.invalid(field, "must have at most " + MAX_ENTRIES + " entries");
        }
        if (entries.stream().anyMatch(entry -> entry == null)) {
            throw Fields.invalid(field, "must not hold null");
        }
        return List.copyOf(new LinkedHashSet<>(entries));
    }
}
