package dev.cube.envd.process;

import dev.cube.guest.ProcessEvent;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One client's view of a process. Holds a bounded amount of output: a client that does not take it makes
 * {@link #deliver} wait, and with it the process. Thread-safe.
 */
final class Subscription {
    private static final int LIMIT_BYTES = 256 * 1024;

    /** What comes next. */
    sealed interface Next {
        record Output(ProcessEvent.Output output) implements Next {}

        record Over(Outcome outcome) implements Next {}

        /** Nothing happened in the time given. */
        record Quiet() implements Next {}

        /** The client is gone. */
        record Closed() implements Next {}
    }

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final ArrayDeque<ProcessEvent.Output> queue = new ArrayDeque<>();
    private int queuedBytes;
    private Outcome outcome;
    private boolean closed;

    /** Adds output, waiting until there is room or the client is gone. */
    void deliver(ProcessEvent.Output output) throws InterruptedException {
        lock.lock();
        try {
            while (!closed && !queue.isEmpty() && queuedBytes + output.data().length > LIMIT_BYTES) {
                changed.await();
            }
            if (!closed) {
                queue.add(output);
                queuedBytes += output.data().length;
                changed.signalAll();
            }
        } finally {
            lock.unlock();
        }
    }

    /** Tells that no output comes any more; what is queued is still given out. */
    void finish(Outcome how) {
        lock.lock();
        try {
            outcome = how;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Drops what is queued and wants nothing more. */
    void close() {
        lock.lock();
        try {
            closed = true;
            queue.clear();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    Next next(Duration patience) throws InterruptedException {
        long left = patience.toNanos();
        lock.lockInterruptibly();
        try {
            while (!closed && queue.isEmpty() && outcome == null) {
                if (left <= 0) {
                    return new Next.Quiet();
                }
                left = changed.awaitNanos(left);
            }
            if (closed) {
                return new Next.Closed();
            }
            ProcessEvent.Output output = queue.poll();
            if (output == null) {
                return new Next.Over(outcome);
            }
            queuedBytes -= output.data().length;
            changed.signalAll();
            return new Next.Output(output);
        } finally {
            lock.unlock();
        }
    }
}
