package dev.cube.server;

import java.util.ArrayDeque;
import java.util.Deque;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What has been opened, closed in the reverse order, each whatever becomes of the others. Thread-safe. */
final class CloseStack implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(CloseStack.class);

    private record Opened(String name, AutoCloseable resource) {}

    private final Deque<Opened> opened = new ArrayDeque<>();

    synchronized <T extends AutoCloseable> T push(String name, T resource) {
        opened.push(new Opened(name, resource));
        return resource;
    }

    /** Closes what has not been closed yet. */
    @Override
    public synchronized void close() {
        while (!opened.isEmpty()) {
            Opened last = opened.pop();
            try {
                last.resource.close();
            } catch (Exception e) {
                LOG.warn("{} could not be closed", last.name, e);
            }
        }
    }
}
