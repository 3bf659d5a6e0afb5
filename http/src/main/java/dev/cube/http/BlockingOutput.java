package dev.cube.http;

import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.core.streams.WriteStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Objects;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Writes to a Vert.x stream from virtual threads, waiting while {@value #WINDOW} bytes are on their way to a receiver
 * that does not take them. Each write goes out at once. Thread-safe.
 */
public final class BlockingOutput extends OutputStream {
    private static final int WINDOW = 256 * 1024;

    private final WriteStream<Buffer> sink;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private int underway;
    private boolean closed;
    private Runnable onClosed = () -> {};

    public BlockingOutput(WriteStream<Buffer> sink) {
        this.sink = sink;
        sink.exceptionHandler(cause -> receiverGone());
    }

    /** The body of a response; notices when the client goes away. The response's head must allow for a body. */
    public static BlockingOutput to(HttpServerResponse response) {
        var output = new BlockingOutput(response);
        if (response.closed()) {
            output.receiverGone();
        } else {
            response.closeHandler(gone -> output.receiverGone());
        }
        return output;
    }

    /** Has {@code action} run once when the receiver is gone, at once if it is already. It must not block. */
    public void onClosed(Runnable action) {
        lock.lock();
        try {
            if (!closed) {
                onClosed = action;
                return;
            }
        } finally {
            lock.unlock();
        }
        action.run();
    }

    public boolean closed() {
        lock.lock();
        try {
            return closed;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void write(int value) throws IOException {
        write(new byte[] {(byte) value}, 0, 1);
    }

    @Override
    public void write(byte[] data, int offset, int length) throws IOException {
        Objects.checkFromIndexSize(offset, length, data.length);
        for (int done = 0; done < length;) {
            int count = Math.min(length - done, WINDOW);
            write(Buffer.buffer(count).appendBytes(data, offset + done, count));
            done += count;
        }
    }

    /** Writes a buffer that nobody changes afterwards; {@link IOException} if the receiver is gone. */
    public void write(Buffer buffer) throws IOException {
        int size = buffer.length();
        if (size == 0) {
            return;
        }
        reserve(size);
        sink.write(buffer).onComplete(written -> {
            release(size);
            if (written.failed()) {
                receiverGone();
            }
        });
    }

    private void reserve(int size) throws IOException {
        lock.lock();
        try {
            while (!closed && underway > 0 && underway + size > WINDOW) {
                changed.await();
            }
            if (closed) {
                throw new IOException("the receiver is gone");
            }
            underway += size;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        } finally {
            lock.unlock();
        }
    }

    private void release(int size) {
        lock.lock();
        try {
            underway -= size;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void receiverGone() {
        Runnable action;
        lock.lock();
        try {
            if (closed) {
                return;
            }
            closed = true;
            action = onClosed;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        action.run();
    }

    /** Ends the stream; what was written before still goes out. */
    @Override
    public void close() {
        lock.lock();
        try {
            if (closed) {
                return;
            }
            closed = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        sink.end();
    }
}
