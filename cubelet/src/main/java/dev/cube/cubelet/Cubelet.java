package dev.cube.cubelet;

import java.util.Collection;
import java.util.Map;
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
     * Takes up the sandboxes that an earlier server left running, by VM ID, and removes what belongs to none of them.
     *
     * @param expected sandbox IDs by VM ID
     * @return the sandboxes that are still there
     */
    Collection<Sandbox> recover(Map<String, String> expected);

    /** Builds templates on this node. */
    TemplateBuilder templateBuilder();

    /** Lets go of the sandboxes, which run on. */
    @Override
    void close();
}
