package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Path;

/** A VM's state of one instant, held in one way or another. Thread-safe. */
interface Frozen extends AutoCloseable {
    VmShape shape();

    /** Name of the base disk as an image has it: relative to its directory, or absolute. */
    String baseDisk();

    /** A running VM in this state. Where that fails, nothing is left of it. */
    QemuVm start(VmOwner owner) throws IOException;

    /** As {@link #start}; the state is no longer held then, whether this succeeds or not. Not for one that is being saved. */
    QemuVm startLast(VmOwner owner) throws IOException;

    /**
     * Makes an image of the state, which is on disk when this returns; what is held may go on being held. Where it fails,
     * the state is held as before, and this may be tried again; otherwise it is done once.
     *
     * @return bytes of guest memory written for it
     */
    long save(Path directory) throws IOException;

    /** Lets go of the state, also when an image is just being made of it. */
    @Override
    void close();
}
