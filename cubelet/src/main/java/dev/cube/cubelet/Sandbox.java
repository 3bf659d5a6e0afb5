package dev.cube.cubelet;

import dev.cube.guest.GuestAgent;
import dev.cube.hypervisor.VmShape;
import java.util.concurrent.CompletionStage;

/** A running sandbox on this node: a VM and the conversation with its agent. Thread-safe. */
public interface Sandbox {
    String id();

    VmShape shape();

    /** The VM that it runs in; changes when the sandbox is rolled back or resumed. */
    String vmId();

    /**
     * The guest's agent; waits, a few milliseconds after creation, until it has taken up its identity. An agent whose
     * connection broke although the VM lives is connected anew.
     */
    GuestAgent agent();

    /** Completes with the reason when the sandbox is gone: destroyed, its VM dead, or cut off. */
    CompletionStage<String> gone();
}
