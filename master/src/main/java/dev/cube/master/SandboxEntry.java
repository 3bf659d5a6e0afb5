package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.UnaryOperator;

/**
 * A sandbox in memory: its row, what runs if it is not paused, and the timer of its timeout. Thread-safe. Whoever claims
 * it ends it; what else changes its VM does so holding {@link #operation}.
 */
final class SandboxEntry {
    private final ReentrantLock operation = new ReentrantLock(true);
    private final ReentrantLock lock = new ReentrantLock();
    private volatile SandboxRow row;
    private volatile Optional<Sandbox> sandbox;
    private ScheduledFuture<?> timer;
    private volatile boolean claimed;

    /** @param sandbox what runs; empty if the sandbox is paused */
    SandboxEntry(SandboxRow row, Optional<Sandbox> sandbox) {
        this.row = row;
        this.sandbox = sandbox;
    }

    /** Held by what captures, changes or ends the VM, one after the other. */
    ReentrantLock operation() {
        return operation;
    }

    SandboxRow row() {
        return row;
    }

    Optional<Sandbox> sandbox() {
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

    /** Changes the row and what runs. {@code change} writes it down; nothing changes where that fails. */
    void become(UnaryOperator<SandboxRow> change, Optional<Sandbox> running) {
        lock.lock();
        try {
            row = change.apply(row);
            sandbox = running;
            if (running.isEmpty()) {
                cancelTimer();
            }
        } finally {
            lock.unlock();
        }
    }

    /** Has {@code expire} run at the end of the timeout, instead of when it was to run before. */
    void schedule(ScheduledExecutorService timers, Runnable expire) {
        schedule(timers, expire, Duration.between(Instant.now(), row.endAt()));
    }

    /** Has {@code expire} run after this long, or never if the sandbox does not run. */
    void schedule(ScheduledExecutorService timers, Runnable expire, Duration delay) {
        lock.lock();
        try {
            cancelTimer();
            if (!claimed && sandbox.isPresent()) {
                timer = timers.schedule(expire, Math.max(0, delay.toMillis()), TimeUnit.MILLISECONDS);
            }
        } finally {
            lock.unlock();
        }
    }

    private void cancelTimer() {
        if (timer != null) {
            timer.cancel(false);
            timer = null;
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

    boolean claimed() {
        return claimed;
    }

    /** The right to end the sandbox: true for the first caller only. */
    boolean claim() {
        lock.lock();
        try {
            if (claimed) {
                return false;
            }
            claimed = true;
            cancelTimer();
            return true;
        } finally {
            lock.unlock();
        }
    }
}
