package dev.cube.guest;

import java.time.Duration;
import java.util.List;

/**
 * A watch on a directory of the guest. What is not taken waits in the guest, whose kernel keeps some 16 000 events; the
 * watch fails when there are more. Thread-safe; events go to one of those who ask.
 */
public interface GuestWatcher extends AutoCloseable {
    /** What may be watched, and how. */
    enum Option {
        /** All directories below too, and those that come there. */
        RECURSIVE,
        /** {@link FileEvent#entry} is filled. */
        ENTRIES,
        /** A directory of a network file system is not refused, though changes made elsewhere are not seen. */
        NETWORK_MOUNTS
    }

    /**
     * The events that have come and were not taken, in order, a megabyte of them at most; waits for one if there is none.
     *
     * @param patience how long to wait; zero: not at all
     * @return empty if nothing happened
     * @throws GuestException if the watch is over: {@code INTERNAL} if the guest lost count of what happened
     */
    List<FileEvent> next(Duration patience);

    @Override
    void close();
}
