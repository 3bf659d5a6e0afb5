package dev.cube.cubelet;

import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * Says whether the node can carry one more VM. A VM just admitted does not show in the machine's available memory yet,
 * so it counts with its expected footprint until it has settled.
 */
final class Admission {
    private static final long MIB = 1 << 20;

    private final NodeLimits limits;
    private final Supplier<MemoryInfo> memory;
    private final ReentrantLock lock = new ReentrantLock();
    private int held;
    private int settling;

    Admission(NodeLimits limits, Supplier<MemoryInfo> memory) {
        this.limits = limits;
        this.memory = memory;
    }

    /** A place on the node, to be closed when the VM is gone. */
    Ticket admit() {
        lock.lock();
        try {
            if (held >= limits.maxSandboxes()) {
                throw refused("This node runs %d sandboxes, which is its limit".formatted(held));
            }
            long available = memory.get().availableBytes();
            long needed = limits.footprintBytes() * (settling + 1L);
            if (available - limits.reserveBytes() < needed) {
                throw refused("This node has no memory for another sandbox: %d MiB are available, %d MiB of them are"
                        .formatted(available / MIB, limits.reserveBytes() / MIB)
                        + " in reserve, and %d MiB are needed for %d being started"
                                .formatted(needed / MIB, settling + 1));
            }
            held++;
            settling++;
            return new Ticket();
        } finally {
            lock.unlock();
        }
    }

    /** A place for a VM that runs already, or takes another's place, whatever the limits say. */
    Ticket adopted() {
        lock.lock();
        try {
            held++;
            settling++;
        } finally {
            lock.unlock();
        }
        Ticket ticket = new Ticket();
        ticket.settled();
        return ticket;
    }

    private static SandboxException refused(String why) {
        return new SandboxException(SandboxException.Kind.NO_CAPACITY, why + ". Delete sandboxes, or try again later.");
    }

    /** A VM's place. Both calls are idempotent. */
    final class Ticket implements AutoCloseable {
        private boolean settled;
        private boolean closed;

        /** From now on the VM's memory shows in the machine's. */
        void settled() {
            lock.lock();
            try {
                if (!settled) {
                    settled = true;
                    settling--;
                }
            } finally {
                lock.unlock();
            }
        }

        @Override
        public void close() {
            lock.lock();
            try {
                settled();
                if (!closed) {
                    closed = true;
                    held--;
                }
            } finally {
                lock.unlock();
            }
        }
    }
}
