package dev.cube.hypervisor;

import java.util.List;

/**
 * Makes running VMs. Callers say in which state; how the VM comes to be (from a blank and an image, or otherwise) is
 * this layer's business. Thread-safe.
 */
public interface VmFactory extends AutoCloseable {
    /** Boots a guest kernel. Boots that hang are noticed and tried again; takes a second or more. */
    Vm boot(BootSpec spec);

    /** A running VM in the state of {@code image}, with a writable disk of its own. */
    Vm start(VmImage image);

    /** Reads the manifest of an image written by {@link Vm#capture}. */
    VmImage open(java.nio.file.Path directory);

    /**
     * The VMs that an earlier server on this state directory left running, taken up again. What is left of others is
     * removed. Call once, before anything else.
     */
    List<Vm> adopt();

    /** Announces that VMs of this shape will be wanted, so that blanks are kept ready for it. */
    void expect(VmShape shape);

    /** Ends the blanks. VMs go on. */
    @Override
    void close();
}
