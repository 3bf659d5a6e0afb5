package dev.cube.master;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.jdbi.v3.core.Handle;
import org.jdbi.v3.core.Jdbi;
import org.jdbi.v3.core.JdbiException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Moves what was committed from SQLite's write-ahead log into the database, on a connection and a thread of its own:
 * it takes fsyncs, and SQLite would otherwise have every so many-th commit wait for them. A passive checkpoint and
 * commits do not block each other. A platform thread, since an fsync would hold a carrier of virtual ones.
 */
final class Checkpoints implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Checkpoints.class);
    private static final Duration INTERVAL = Duration.ofSeconds(1);

    private final Handle handle;
    private final AtomicLong commits = new AtomicLong();
    private final Thread thread;

    Checkpoints(Jdbi jdbi) {
        handle = jdbi.open();
        thread = Thread.ofPlatform().daemon().name("database-checkpoints").start(this::run);
    }

    /** To be called after each commit. */
    void committed() {
        commits.incrementAndGet();
    }

    private void run() {
        long done = 0;
        while (true) {
            try {
                Thread.sleep(INTERVAL);
            } catch (InterruptedException e) {
                return;
            }
            long now = commits.get();
            if (now != done) {
                try {
                    handle.execute("PRAGMA wal_checkpoint(PASSIVE)");
                    done = now;
                } catch (JdbiException e) {
                    LOG.warn("the database's write-ahead log stays: {}", e.getMessage());
                }
            }
        }
    }

    @Override
    public void close() {
        thread.interrupt();
        boolean interrupted = false;
        while (true) {
            try {
                thread.join();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        handle.close();
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
