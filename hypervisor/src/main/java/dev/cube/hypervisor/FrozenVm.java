package dev.cube.hypervisor;

/**
 * The state of a VM at one instant, from which VMs are started. It is held in memory or in files that nobody waits to be
 * on disk, and ends with the server. Thread-safe.
 */
public interface FrozenVm extends AutoCloseable {
    VmShape shape();

    /** A running VM in this state, with a writable disk of its own. */
    Vm start();

    /** As {@link #start}, but no other can be started any more, whether this succeeds or not: the held one itself may go on. */
    Vm startLast();

    /** Lets go of the state; VMs that were started from it go on. Idempotent. */
    @Override
    void close();
}
