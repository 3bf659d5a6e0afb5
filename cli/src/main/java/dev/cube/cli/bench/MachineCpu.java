package dev.cube.cli.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** Processor time of the whole machine that this program runs on. */
final class MachineCpu {
    private static final Path STAT = Path.of("/proc/stat");
    /** USER_HZ, the unit of {@code /proc/stat}, is 100 on every Linux that there is. */
    private static final int MILLIS_PER_TICK = 10;

    private MachineCpu() {}

    /** Milliseconds that all processors together were busy since the machine started; NaN if the system does not say. */
    static double busyMillis() {
        try {
            return busyMillis(Files.readAllLines(STAT));
        } catch (IOException e) {
            return Double.NaN;
        }
    }

    /** The fields of proc_stat(5) are user, nice, system, idle, iowait, irq, softirq, steal; later ones are in these. */
    static double busyMillis(List<String> stat) {
        return stat.stream().filter(line -> line.startsWith("cpu ")).findFirst()
                .map(line -> Arrays.stream(line.substring(4).strip().split(" +")).mapToLong(Long::parseLong).toArray())
                .map(ticks -> (double) (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) * MILLIS_PER_TICK)
                .orElse(Double.NaN);
    }
}
