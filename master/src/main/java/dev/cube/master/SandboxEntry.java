package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.UnaryOperator;

/** A running sandbox in memory: its row, and the timer that ends it. Thread-safe; whoever claims it ends it. */
final class SandboxEntry {
    private final Sandbox sandbox;
    private final ReentrantLock lock = new ReentrantLock();
    private volatile SandboxRow row;
    private ScheduledFuture<?> timer;
    private boolean claimed;

    SandboxEntry(SandboxRow row, Sandbox sandbox) {
        this.row = row;
        this.sandbox = sandbox;
    }

    SandboxRow row() {
        return row;
    }

    Sandbox sandbox() {
        return sandbox;
    }

    /** Changes the row unless the sandbox is being ended; false then. {@code change} writes it down. */
    boolean update(UnaryOperator<SandboxRow> change) {
        lock.lock();
        try {
            if (claimed) {
                return false;
            }
            row = change.apply(row);
            return true;
        } finally {
            lock.unlock();
        }
    }

    /** Has {@code expire} run at the end of the timeout, instead of when it was to run before. */
    void schedule(ScheduledExecutorService timers, Runnable expire) {
        lock.lock();
        try {
            if (timer != null) {
                timer.cancel(false);
            }
            if (!claimed) {
                long millis = Math.max(0, Duration.between(Instant.now(), row.endAt()).toMillis());
                timer = timers.schedule(expire, millis, TimeUnit.MILLISECONDS);
            }
        } finally {
            lock.unlock();
        }
    }

    boolean expired() {
        return !row.endAt().isAfter(Instant.now());
    }

    /** Claims the sandbox if its time has come. */
    boolean claimIfExpired() {
        lock.lock();
        try {
            return expired() && claim();
        } finally {
            lock.unlock();
        }
    }

    /** The right to end the sandbox: true for the first caller only. */
    boolean claim() {
        lock.lock();
        try {
            if (claimed) {
                return false;
            }
            claimed = true;
            if (timer != null) {
                timer.cancel(false);
            }
            return true;
        } finally {
            lock.unlock();
        }
    }
}
