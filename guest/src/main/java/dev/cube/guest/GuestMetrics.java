package dev.cube.guest;

/**
 * The guest's own view of its load.
 *
 * @param cpuUsedPercent of all vCPUs, since the call before this one
 */
public record GuestMetrics(int cpuCount, double cpuUsedPercent, long memoryTotalBytes, long memoryUsedBytes,
        long diskTotalBytes, long diskUsedBytes) {}
