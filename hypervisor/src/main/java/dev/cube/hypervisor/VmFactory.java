package dev.cube.hypervisor;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Makes running VMs. Callers say in which state; how the VM comes to be (from a blank and an image, or otherwise) is
 * this layer's business. Thread-safe.
 */
public interface VmFactory extends AutoCloseable {
    /** Boots a guest kernel. Boots that hang are noticed and tried again; takes a second or more. */
    Vm boot(BootSpec spec);

    /**
     * Boots a guest kernel as {@link #boot} does, on the disks that an image was written with; its memory, if it has any, is left
     * aside. The VM ends with its server: what is to stay has to be captured.
     */
    Vm reboot(Path image);

    /** Whether an image has memory, and VMs can be {@linkplain #start started} from it. */
    boolean holdsMemory(Path image);

    /**
     * A running VM in the state of {@code image}, with a writable disk of its own. The image may be that of a snapshot that is
     * not durable yet.
     */
    Vm start(VmImage image);

    /**
     * Reads the manifest of an image written by {@link Vm#capture}.
     *
     * @throws HypervisorException also if this machine cannot start it, as after an upgrade of QEMU
     */
    VmImage open(Path directory);

    /**
     * The VMs that an earlier server on this state directory left running, taken up again. What is left of others is
     * removed. Call once, before anything else.
     */
    List<Vm> adopt();

    /** Announces that VMs of this shape will be wanted, so that blanks are kept ready for it. */
    void expect(VmShape shape);

    /**
     * Announces that VMs will be started from this image often, so that the fastest way is made ready for it in the
     * background and kept: a VM to fork, or where that cannot be, VMs that are restored already. Until then they are started from
     * a blank.
     *
     * @param exercise is given a running VM in the image's state, which nobody else will see, and does in it what VMs of
     *                 the image will do, until that is fast; it leaves nothing connected to the VM's agent. It may be
     *                 called again at any time, from another thread
     * @param firstUse is given one that was made in the fastest way, and does in it once what VMs of the image will do
     *                 first; where it throws, that way is not taken. It may be called again at any time, from another
     *                 thread
     */
    void keepWarm(VmImage image, Consumer<Vm> exercise, Consumer<Vm> firstUse);

    /**
     * The snapshot that an earlier server took in this directory: durable, or about to be. Empty if there is none, or none
     * that is whole. Call after {@link #adopt}.
     */
    Optional<VmSnapshot> recoverSnapshot(Path directory);

    /** Lets go of what is held for snapshots that nobody has recovered. Call after the last {@link #recoverSnapshot}. */
    void recovered();

    /**
     * Removes a snapshot, durable or not, and all that is held for it. VMs and snapshots that are based on it keep what
     * they need of it. Does nothing if there is none.
     */
    void discard(Path directory);

    /** The opposite of {@link #keepWarm}, by the image's directory; VMs that run go on. */
    void forget(Path image);

    /** Ends the blanks. VMs go on. */
    @Override
    void close();
}
