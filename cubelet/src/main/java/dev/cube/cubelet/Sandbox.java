package dev.cube.cubelet;

import dev.cube.guest.GuestAgent;
import dev.cube.hypervisor.VmShape;
import java.time.Duration;
import java.util.concurrent.CompletionStage;

/** A running sandbox on this node: a VM and the conversation with its agent. Thread-safe. */
public interface Sandbox {
    String id();

    VmShape shape();

    /** The VM that it runs in. A sandbox that is rolled back or resumed is another object with the same ID. */
    String vmId();

    /**
     * The guest's agent; waits, a few milliseconds after creation, until it has taken up its identity. An agent whose
     * connection broke although the VM lives is connected anew.
     */
    GuestAgent agent();

    /** Processor time that its VM has used on this node so far, to the hundredth of a second; zero if it is gone. */
    Duration processorTime();

    /** The last few KiB that the guest's kernel printed; empty if its VM is gone. */
    String console();

    /** Completes with the reason when the VM is gone: destroyed, dead, cut off, paused, or replaced. */
    CompletionStage<String> gone();
}
