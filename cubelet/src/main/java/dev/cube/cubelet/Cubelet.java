package dev.cube.cubelet;

import dev.cube.hypervisor.VmImage;
import dev.cube.hypervisor.VmSnapshot;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Optional;

/** The sandboxes of one node. Thread-safe; calls block. */
public interface Cubelet extends AutoCloseable {
    /** Makes a sandbox; returns when it runs. {@code NO_CAPACITY} where the node's memory does not allow it. */
    Sandbox create(SandboxSpec spec);

    /**
     * Takes a snapshot of a sandbox, which goes on. It can be used at once, and becomes durable in the background.
     *
     * @param directory where its image will be; must not exist
     */
    VmSnapshot snapshot(String id, Path directory);

    /**
     * Holds a sandbox's state of one instant, to make others from it. The sandbox goes on.
     *
     * @param copies how many will be made, as far as is known
     */
    FrozenSandbox freeze(String id, int copies);

    /**
     * Writes a sandbox's state to an image that is on disk when this returns, and ends its VM: it is no longer found here,
     * and {@link #create} with its ID and the image has it go on. Where this fails the sandbox goes on.
     *
     * @param directory  where the image will be; must not exist
     * @param keepMemory otherwise the image holds the disk only, with all that was written to it, and has to be
     *                   {@linkplain #reboot booted}
     */
    VmImage pause(String id, Path directory, boolean keepMemory);

    /** Whether an image that {@link #pause} wrote holds memory. */
    boolean holdsMemory(Path directory);

    /**
     * Boots a guest on the disk of an image that {@link #pause} wrote, which stays as it is; the guest's memory, if the image
     * holds any, is left aside. The template's command is started as when the template was made, and the state that the guest is in
     * then is written to another image, from which {@link #create} has the sandbox go on. Takes seconds.
     *
     * @param directory where the new image will be; must not exist
     */
    VmImage reboot(RebootSpec spec, Path directory);

    /** Starts a VM to take the place of the one that a sandbox of this ID runs in. The sandbox's own runs on till then. */
    Replacement replace(SandboxSpec spec);

    /** The image in a directory that {@link #pause} wrote; {@code FAILED} if this machine cannot start it. */
    VmImage openImage(Path directory);

    /** The snapshot that an earlier server took in a directory, if it can still be used. Call after {@link #recover}. */
    Optional<VmSnapshot> recoverSnapshot(Path directory);

    /** Lets go of what an earlier server held for snapshots that nobody has recovered. */
    void forgetUnrecovered();

    /** Removes a snapshot or the image of a paused sandbox, or what there is of it. VMs made from it go on. */
    void discard(Path directory);

    Optional<Sandbox> find(String id);

    Collection<Sandbox> list();

    /** Ends a sandbox and frees what it held; does nothing if there is none. */
    void destroy(String id);

    /**
     * Takes up the sandboxes that an earlier server left running, and removes what belongs to none of them. Call once,
     * before anything else.
     *
     * @return those of the expected sandboxes that are still there
     */
    Collection<Sandbox> recover(Collection<RunningSandbox> expected);

    /** Reads what {@link TemplateBuilder#build} wrote, and has VMs of its shape kept ready. */
    Template openTemplate(Path directory);

    /** Removes a template's files, or what there is of them; nothing may run from them. */
    void deleteTemplate(Path directory);

    /** Builds templates on this node. */
    TemplateBuilder templateBuilder();

    /** Lets go of the sandboxes, which run on. */
    @Override
    void close();
}
