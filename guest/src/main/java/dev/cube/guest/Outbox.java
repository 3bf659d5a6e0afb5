package dev.cube.guest;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Frames on their way to the guest. Callers never write to the socket themselves: an interrupt would close it. One
 * thread, in {@link #run}, does. Senders of data and requests wait while the guest takes nothing; what answers to the
 * guest's own frames (credit, closing) is small, is bounded by the number of channels, and never waits.
 */
final class Outbox {
    private static final int CAPACITY = 256 * 1024;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private ByteBuffer filling = buffer(16 * 1024);
    private boolean closed;

    /** @throws InterruptedException if the caller is interrupted while it waits for room; nothing was sent then */
    void send(int type, int flags, int channel, byte[] payload, int offset, int length) throws InterruptedException {
        lock.lockInterruptibly();
        try {
            while (!closed && filling.position() >= CAPACITY) {
                changed.await();
            }
            append(type, flags, channel, payload, offset, length);
        } finally {
            lock.unlock();
        }
    }

    void sendControl(int type, int channel, byte... payload) {
        lock.lock();
        try {
            append(type, 0, channel, payload, 0, payload.length);
        } finally {
            lock.unlock();
        }
    }

    /** Bytes that are no frame: the preamble and magic. */
    void sendRaw(byte[] bytes) {
        lock.lock();
        try {
            reserve(bytes.length);
            filling.put(bytes);
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void append(int type, int flags, int channel, byte[] payload, int offset, int length) {
        if (closed) {
            return;
        }
        reserve(Wire.HEADER_LENGTH + length + 1);
        filling.put((byte) type).put((byte) flags).putShort((short) length).putInt(channel)
                .put(payload, offset, length).put(Wire.MARKER);
        changed.signalAll();
    }

    private void reserve(int length) {
        if (filling.remaining() < length) {
            ByteBuffer larger = buffer(Math.max(2 * filling.capacity(), filling.position() + length));
            filling = larger.put(filling.flip());
        }
    }

    private static ByteBuffer buffer(int capacity) {
        return ByteBuffer.allocate(capacity).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Writes until the outbox is closed. */
    void run(WritableByteChannel to) throws IOException {
        ByteBuffer draining = buffer(16 * 1024);
        while (true) {
            lock.lock();
            try {
                while (!closed && filling.position() == 0) {
                    changed.awaitUninterruptibly();
                }
                if (closed) {
                    return;
                }
                ByteBuffer full = filling;
                filling = draining;
                draining = full.flip();
                changed.signalAll();
            } finally {
                lock.unlock();
            }
            while (draining.hasRemaining()) {
                to.write(draining);
            }
            draining.clear();
        }
    }

    void close() {
        lock.lock();
        try {
            closed = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }
}
