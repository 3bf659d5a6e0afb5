package dev.cube.cli.bench;

import java.io.Console;
import java.io.PrintWriter;
import java.io.Writer;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/** Says on standard error how far a measurement is; drawn by a thread of its own, so that workers do not wait for it. */
final class Progress implements AutoCloseable {
    private static final long DRAWN_EVERY_NANOS = 200_000_000L;
    private static final long PRINTED_EVERY_NANOS = 5_000_000_000L;

    /** For what is not told. */
    static final Progress NONE = new Progress(new PrintWriter(Writer.nullWriter()), "", 0, false);

    private final PrintWriter err;
    private final String what;
    private final int total;
    private final boolean drawn;
    private final AtomicInteger done = new AtomicInteger();
    private final Thread thread;
    private volatile boolean closed;

    private Progress(PrintWriter err, String what, int total, boolean drawn) {
        this.err = err;
        this.what = what;
        this.total = total;
        this.drawn = drawn;
        this.thread = Thread.ofPlatform().daemon().name("progress").unstarted(this::show);
    }

    static Progress start(PrintWriter err, String what, int total, boolean plain) {
        Console console = System.console();
        Progress progress = new Progress(err, what, total, !plain && console != null && console.isTerminal());
        progress.thread.start();
        return progress;
    }

    void step() {
        done.incrementAndGet();
    }

    private void show() {
        long interval = drawn ? DRAWN_EVERY_NANOS : PRINTED_EVERY_NANOS;
        long shown = System.nanoTime();
        while (!closed) {
            LockSupport.parkNanos(interval);
            if (!closed && System.nanoTime() - shown >= interval) {
                shown = System.nanoTime();
                err.print(drawn ? "\r" + line() : line() + System.lineSeparator());
                err.flush();
            }
        }
    }

    private String line() {
        return "%s: %d of %d".formatted(what, done.get(), total);
    }

    @Override
    public void close() {
        closed = true;
        LockSupport.unpark(thread);
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (drawn) {
            err.print("\r" + " ".repeat(line().length()) + "\r");
            err.flush();
        }
    }
}
