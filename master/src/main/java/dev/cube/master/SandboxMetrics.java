package dev.cube.master;

import java.time.Instant;
import java.util.List;
import java.util.stream.DoubleStream;

/**
 * What a sandbox used at a moment. Memory and disk are the guest's own figures, in bytes.
 *
 * @param cpuUsedPercent of all its processors, as the host counts it, since it was measured before
 * @param memoryUsed     not available to programs any more; without what the guest's kernel caches
 */
public record SandboxMetrics(Instant at, int cpuCount, double cpuUsedPercent, long memoryTotal, long memoryUsed,
        long memoryCached, long diskTotal, long diskUsed) {

    /** The inverse of {@link #figures}. */
    static SandboxMetrics of(List<Double> f) {
        return new SandboxMetrics(Instant.ofEpochMilli(f.get(0).longValue()), f.get(1).intValue(), f.get(2),
                f.get(3).longValue(), f.get(4).longValue(), f.get(5).longValue(), f.get(6).longValue(),
                f.get(7).longValue());
    }

    /** Its components in their order, the moment in milliseconds since 1970. */
    List<Double> figures() {
        return DoubleStream.of(at.toEpochMilli(), cpuCount, cpuUsedPercent, memoryTotal, memoryUsed, memoryCached,
                diskTotal, diskUsed).boxed().toList();
    }
}
