package dev.cube.envd.daemon;

import dev.cube.guest.GuestException;
import dev.cube.guest.GuestProcess;
import dev.cube.guest.ProcessEvent;
import dev.cube.guest.ProcessSpec;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicInteger;

/** A process that does what a test says, and takes note of what is done to it. */
final class ScriptedProcess implements GuestProcess {
    private record Failure(GuestException cause) {}

    final int pid;
    final ProcessSpec spec;
    final ByteArrayOutputStream stdin = new ByteArrayOutputStream();
    final List<Integer> signals = new CopyOnWriteArrayList<>();
    final AtomicInteger taken = new AtomicInteger();
    volatile boolean stdinClosed;
    volatile boolean closed;
    volatile ProcessSpec.PtySize size;
    private final LinkedBlockingQueue<Object> events = new LinkedBlockingQueue<>();

    ScriptedProcess(int pid, ProcessSpec spec) {
        this.pid = pid;
        this.spec = spec;
    }

    ScriptedProcess prints(ProcessEvent.Stream stream, byte[] data) {
        events.add(new ProcessEvent.Output(stream, data));
        return this;
    }

    ScriptedProcess prints(String text) {
        return prints(ProcessEvent.Stream.STDOUT, text.getBytes(StandardCharsets.UTF_8));
    }

    void exits(int code) {
        events.add(new ProcessEvent.Exited(code, 0));
    }

    void dies(int signal) {
        events.add(new ProcessEvent.Exited(0, signal));
    }

    void isLost() {
        events.add(new Failure(new GuestException(GuestException.Kind.DISCONNECTED, "the guest is gone")));
    }

    @Override
    public int pid() {
        return pid;
    }

    @Override
    public ProcessEvent next() {
        try {
            Object next = events.take();
            taken.incrementAndGet();
            if (next instanceof Failure(GuestException cause)) {
                throw cause;
            }
            return (ProcessEvent) next;
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public synchronized void write(byte[] data, int offset, int length) {
        stdin.write(data, offset, length);
    }

    synchronized String written() {
        return stdin.toString(StandardCharsets.UTF_8);
    }

    @Override
    public void closeStdin() {
        stdinClosed = true;
    }

    @Override
    public void signal(int number) {
        signals.add(number);
        if (number == 9) {
            dies(9);
        }
    }

    @Override
    public void resize(ProcessSpec.PtySize size) {
        this.size = size;
    }

    @Override
    public void close() {
        closed = true;
    }
}
