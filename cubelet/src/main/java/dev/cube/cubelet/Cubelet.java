package dev.cube.cubelet;

import java.nio.file.Path;
import java.util.Collection;
import java.util.Optional;

/** The sandboxes of one node. Thread-safe; calls block. */
public interface Cubelet extends AutoCloseable {
    /** Makes a sandbox; returns when it runs. {@code NO_CAPACITY} where the node's memory does not allow it. */
    Sandbox create(SandboxSpec spec);

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
