package dev.cube.cubelet;

import java.time.Duration;

/**
 * What a node takes on.
 *
 * @param maxSandboxes   most sandboxes at one time
 * @param reserveBytes   available memory that is never given to a sandbox: it is the server's and the page cache's
 * @param footprintBytes memory that a new sandbox is expected to take soon; what running ones really take shows in the
 *                       machine's available memory
 * @param agentTimeout   how long an agent may take to answer after its VM runs; it is asked twice before the sandbox is
 *                       ended, which is worse for its user than to wait for a machine that is busy
 */
public record NodeLimits(int maxSandboxes, long reserveBytes, long footprintBytes, Duration agentTimeout) {
    private static final long MIB = 1 << 20;

    /** A twentieth of the machine's memory in reserve, at least 512 MiB; 64 MiB for each new sandbox. */
    public static NodeLimits forMachine() {
        long reserve = Math.max(512 * MIB, MemoryInfo.read().totalBytes() / 20);
        return new NodeLimits(1000, reserve, 64 * MIB, Duration.ofSeconds(60));
    }
}
