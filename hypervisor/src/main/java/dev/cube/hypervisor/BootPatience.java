package dev.cube.hypervisor;

import java.time.Duration;

/**
 * When a boot counts as hung. Measured in processor time, because wall-clock time says nothing on a busy host: a guest
 * that boots uses 1.3 s of it, and one that hangs either spins or sleeps.
 *
 * @param interval   between looks
 * @param cpuTime    that a guest with one processor and little memory may use until it opens its port
 * @param idleLooks  after so many looks in a row with next to no processor time used, it sleeps for good
 * @param total      wall-clock time after which it is given up in any case
 */
record BootPatience(Duration interval, Duration cpuTime, int idleLooks, Duration total) {
    static final BootPatience DEFAULT =
            new BootPatience(Duration.ofSeconds(1), Duration.ofSeconds(15), 8, Duration.ofSeconds(180));

    /** What an idle guest's timer ticks cost at most, for each second. */
    private static final Duration IDLE = Duration.ofMillis(20);
    private static final Duration CPU_TIME_PER_VCPU = Duration.ofSeconds(3);
    /** The kernel's page structures, written under TCG. */
    private static final Duration CPU_TIME_PER_GIB = Duration.ofSeconds(1);

    Watch watch(VmShape shape) {
        Duration allowed = cpuTime
                .plus(CPU_TIME_PER_VCPU.multipliedBy(shape.vcpus() - 1))
                .plus(CPU_TIME_PER_GIB.multipliedBy(shape.memoryMib() / 1024));
        return new Watch(allowed, System.nanoTime() + total.toNanos());
    }

    /** Looks after one boot. */
    final class Watch {
        private final Duration allowed;
        private final long deadline;
        private Duration before = Duration.ZERO;
        private int idle;

        private Watch(Duration allowed, long deadline) {
            this.allowed = allowed;
            this.deadline = deadline;
        }

        /** @return what is wrong, or null; to be asked once in each interval */
        String problem(Duration used) {
            idle = used.minus(before).compareTo(IDLE) <= 0 ? idle + 1 : 0;
            before = used;
            if (used.compareTo(allowed) > 0) {
                return "did not open the agent's port in %d s of processor time".formatted(used.toSeconds());
            }
            if (idle >= idleLooks) {
                return "sleeps and has not opened the agent's port";
            }
            return System.nanoTime() > deadline ? "did not open the agent's port in " + total.toSeconds() + " s" : null;
        }
    }
}
