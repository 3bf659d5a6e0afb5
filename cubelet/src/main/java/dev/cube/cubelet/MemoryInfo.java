package dev.cube.cubelet;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The machine's memory, from {@code /proc/meminfo}; see proc_meminfo(5). */
record MemoryInfo(long totalBytes, long availableBytes) {
    private static final Path MEMINFO = Path.of("/proc/meminfo");

    static MemoryInfo read() {
        try {
            return parse(Files.readString(MEMINFO));
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + MEMINFO, e);
        }
    }

    static MemoryInfo parse(String text) {
        return new MemoryInfo(field(text, "MemTotal:"), field(text, "MemAvailable:"));
    }

    private static long field(String text, String name) {
        int at = text.indexOf(name);
        if (at < 0) {
            throw new IllegalStateException(MEMINFO + " has no " + name);
        }
        int end = text.indexOf("kB", at);
        return Long.parseLong(text.substring(at + name.length(), end).strip()) << 10;
    }
}
