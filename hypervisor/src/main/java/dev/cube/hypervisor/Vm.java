package dev.cube.hypervisor;

import java.nio.file.Path;
import java.util.concurrent.CompletionStage;

/** One virtual machine. Thread-safe; operations on one VM are serialised. */
public interface Vm {
    /** Names the VM on this node, and in logs; also the name of its directory. */
    String id();

    VmShape shape();

    /** Process ID of its QEMU. */
    long pid();

    /**
     * The unix socket that leads to the agent's port in the guest. One connection at a time; bytes pass through
     * unchanged.
     */
    Path agentSocket();

    /** The last few KiB that the guest printed on its console, for diagnosis; empty once the VM is gone. */
    String console();

    /** Stops the virtual processors; does nothing to a stopped VM. */
    void pause();

    /** Lets the virtual processors go on; does nothing to a running VM. */
    void resume();

    /**
     * Captures the VM as an image in {@code directory}, which must not exist and is made whole or not at all. The VM
     * is stopped meanwhile, and left stopped. Nothing may be sent on {@link #agentSocket} from before the call until it
     * returns: what is on its way when the VM stops may be in the image or be lost, and every VM made from the image
     * would take it for its own host's. Close the connection first.
     */
    VmImage capture(Path directory);

    /**
     * Takes a snapshot: memory, devices and disk at one instant. The VM stands still for some milliseconds and goes on, with
     * its connection on {@link #agentSocket}; what is on its way there at that instant is not in the snapshot, or only a
     * part of it, which the agent of a VM started from it drops.
     *
     * @param directory where the image will be; must not exist
     */
    VmSnapshot snapshot(Path directory);

    /**
     * Holds the VM's state of one instant, to start copies from. The VM goes on, as with {@link #snapshot}.
     *
     * @param copies how many will be started, as far as is known: what is held is made for so many, and allows for any number
     */
    FrozenVm freeze(int copies);

    /**
     * Captures the VM as an image, which is on disk when this returns, and ends the VM. Where that fails the VM goes on. Close the
     * connection on {@link #agentSocket} first, as for {@link #capture}.
     *
     * @param directory  as of {@link #capture}
     * @param keepMemory otherwise the image holds the disk only, as it would be if the machine had failed at this moment
     */
    VmImage suspend(Path directory, boolean keepMemory);

    /** Ends QEMU and removes the VM's directory. Idempotent. */
    void kill();

    /** Completes when QEMU is gone, for whatever reason, at once. */
    CompletionStage<VmExit> exit();
}
