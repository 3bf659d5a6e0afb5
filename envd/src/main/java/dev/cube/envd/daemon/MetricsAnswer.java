package dev.cube.envd.daemon;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.cube.guest.GuestMetrics;
import java.time.Instant;

/**
 * A guest's load as envd's {@code /metrics} tells it.
 *
 * @param ts seconds since 1970
 */
record MetricsAnswer(@JsonProperty("ts") long ts, @JsonProperty("cpu_count") int cpuCount,
        @JsonProperty("cpu_used_pct") double cpuUsedPercent, @JsonProperty("mem_total") long memoryTotal,
        @JsonProperty("mem_used") long memoryUsed, @JsonProperty("mem_cache") long memoryCached,
        @JsonProperty("mem_total_mib") long memoryTotalMib,
        @JsonProperty("mem_used_mib") long memoryUsedMib, @JsonProperty("disk_total") long diskTotal,
        @JsonProperty("disk_used") long diskUsed) {
    private static final long MIB = 1024 * 1024;

    static MetricsAnswer of(GuestMetrics metrics, Instant now) {
        return new MetricsAnswer(now.getEpochSecond(), metrics.cpuCount(),
                Math.round(metrics.cpuUsedPercent() * 100) / 100.0, metrics.memoryTotalBytes(),
                metrics.memoryUsedBytes(), metrics.memoryCachedBytes(),
                metrics.memoryTotalBytes() / MIB, metrics.memoryUsedBytes() / MIB,
                metrics.diskTotalBytes(), metrics.diskUsedBytes());
    }
}
