package dev.cube.master;

import java.time.Instant;

/**
 * What a sandbox used at a moment. Memory and disk are the guest's own figures, in bytes.
 *
 * @param cpuUsedPercent of all its processors, as the host counts it, since it was measured before
 * @param memoryUsed     not available to programs any more; without what the guest's kernel caches
 */
public record SandboxMetrics(Instant at, int cpuCount, double cpuUsedPercent, long memoryTotal, long memoryUsed,
        long memoryCached, long diskTotal, long diskUsed) {}
