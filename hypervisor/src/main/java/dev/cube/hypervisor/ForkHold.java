package dev.cube.hypervisor;

import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The processors of a fork of a running VM, which do nothing until it is decided, once, whether QEMU stops them or they go on.
 * Thread-safe: neither waits for what else is done with the VM, such as to write its image.
 */
final class ForkHold {
    private final QemuHandle qemu;
    private final ReentrantLock lock = new ReentrantLock();
    /** What QEMU answers to the decision. */
    private Optional<CompletableFuture<?>> decided;

    private ForkHold(QemuHandle qemu, Optional<CompletableFuture<?>> decided) {
        this.qemu = qemu;
        this.decided = decided;
    }

    static ForkHold undecided(QemuHandle qemu) {
        return new ForkHold(qemu, Optional.empty());
    }

    /** Of a VM that is no fork, or one of a stopped VM. */
    static ForkHold none(QemuHandle qemu) {
        return new ForkHold(qemu, Optional.of(CompletableFuture.completedFuture(null)));
    }

    /**
     * Has QEMU stop the processors, unless it was decided already.
     *
     * @return done when QEMU has
     */
    CompletableFuture<?> stop() throws IOException {
        lock.lock();
        try {
            if (decided.isEmpty()) {
                decided = Optional.of(qemu.qmp().send("stop"));
                qemu.control().adoptHalting();
            }
            return decided.get();
        } finally {
            lock.unlock();
        }
    }

    /** @return whether the processors go on by this; otherwise it was decided already */
    boolean release() throws IOException {
        lock.lock();
        try {
            if (decided.isPresent()) {
                return false;
            }
            decided = Optional.of(CompletableFuture.completedFuture(null));
            qemu.control().adopt();
            return true;
        } finally {
            lock.unlock();
        }
    }
}
