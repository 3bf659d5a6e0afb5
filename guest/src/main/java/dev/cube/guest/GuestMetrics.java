package dev.cube.guest;

/**
 * The guest's own view of its load.
 *
 * @param cpuUsedPercent    of all vCPUs, since the call before this one
 * @param memoryCachedBytes what the kernel caches of files, which programs may take
 */
public record GuestMetrics(int cpuCount, double cpuUsedPercent, long memoryTotalBytes, long memoryUsedBytes,
        long memoryCachedBytes, long diskTotalBytes, long diskUsedBytes) {}
