package dev.cube.guest;

import dev.cube.guest.GuestException.Kind;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One exchange with the guest: a request, its answer, and data both ways under credit. The connection's reader calls the
 * {@code on…} methods, which never wait; what they keep is bounded by the credit given. Thread-safe.
 */
final class Channel implements AutoCloseable {
    /** What the guest sent, in order. */
    sealed interface Item {
        record Data(int stream, byte[] bytes) implements Item {}

        /** The guest sends no more, but still takes. */
        record End() implements Item {}

        /** The channel is over, well. */
        record Done(Reply result) implements Item {}
    }

    private static final Kind[] KINDS = {
        null, Kind.NOT_FOUND, Kind.ALREADY_EXISTS, Kind.PERMISSION_DENIED, Kind.INVALID_ARGUMENT, Kind.NOT_A_DIRECTORY,
        Kind.IS_A_DIRECTORY, Kind.NO_SPACE, Kind.UNKNOWN_USER, Kind.CONNECTION_REFUSED, Kind.RESOURCE_EXHAUSTED,
        Kind.INTERNAL,
        /* another holder attached to the process: to this one it is as good as gone */
        Kind.DISCONNECTED,
    };

    private final int id;
    private final Operation operation;
    private final Outbox outbox;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final Queue<Item> items = new ArrayDeque<>();

    /** What the guest may still send, and what was taken from it but is not yet given back. */
    private int granted = Wire.WINDOW;
    private int taken;
    /** What may still be sent, and what was sent but is not yet given back. */
    private int credit = Wire.WINDOW;
    private int outstanding;

    private byte[] opened;
    private boolean dataEnded;
    private boolean closing;
    /** The guest's last word on the channel: OK or a failure. */
    private byte[] result;
    private String lost;

    Channel(int id, Operation operation, Outbox outbox) {
        this.id = id;
        this.operation = operation;
        this.outbox = outbox;
    }

    int id() {
        return id;
    }

    // ---- the connection's reader ----

    void onOpened(ByteBuffer payload) {
        lock.lock();
        try {
            if (!operation.opens() || opened != null) {
                throw violation("opened twice or without reason");
            }
            opened = copy(payload);
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    void onData(int stream, ByteBuffer payload) {
        lock.lock();
        try {
            int cost = payload.remaining() + Wire.DATA_OVERHEAD;
            if (stream >= operation.streams() || !payload.hasRemaining() || dataEnded
                    || (operation.opens() && opened == null)) {
                throw violation("data out of place");
            }
            if (cost > granted) {
                throw violation("more data than it has credit for");
            }
            granted -= cost;
            if (!closing) {
                items.add(new Item.Data(stream, copy(payload)));
                changed.signalAll();
            }
        } finally {
            lock.unlock();
        }
    }

    void onEof() {
        lock.lock();
        try {
            if (!operation.halfCloses() || dataEnded || opened == null) {
                throw violation("end of data out of place");
            }
            dataEnded = true;
            items.add(new Item.End());
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    void onGrant(ByteBuffer payload) {
        lock.lock();
        try {
            int grant = payload.remaining() == Integer.BYTES ? payload.getInt() : 0;
            if (grant <= 0 || grant > outstanding) {
                throw violation("credit for what it was not sent");
            }
            outstanding -= grant;
            credit += grant;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    void onClosed(ByteBuffer payload) {
        lock.lock();
        try {
            if (!payload.hasRemaining() || Byte.toUnsignedInt(payload.get(0)) >= KINDS.length) {
                throw violation("closed without a known reason");
            }
            result = copy(payload);
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    void onLost(String reason) {
        lock.lock();
        try {
            lost = reason;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private ProtocolViolation violation(String what) {
        return new ProtocolViolation("%s: %s".formatted(operation, what));
    }

    private static byte[] copy(ByteBuffer payload) {
        byte[] bytes = new byte[payload.remaining()];
        payload.get(payload.position(), bytes);
        return bytes;
    }

    // ---- callers ----

    /** Waits for the guest to have begun. */
    Reply awaitOpened() {
        lockOrFail();
        try {
            while (opened == null) {
                failIfLetGo();
                if (result != null) {
                    done();
                    throw new ProtocolViolation(operation + ": closed before it was opened");
                }
                awaitChange();
            }
            return new Reply(opened);
        } finally {
            lock.unlock();
        }
    }

    /** Waits for the next thing that the guest sent. After {@link Item.Done} there is nothing. */
    Item next() {
        lockOrFail();
        try {
            while (items.isEmpty()) {
                failIfLetGo();
                if (result != null) {
                    return new Item.Done(done());
                }
                awaitChange();
            }
            return take();
        } finally {
            lock.unlock();
        }
    }

    /** As {@link #next()}; empty if nothing came within {@code patience}. */
    Optional<Item> next(Duration patience) {
        lockOrFail();
        try {
            long left = patience.toNanos();
            while (items.isEmpty()) {
                failIfLetGo();
                if (result != null) {
                    return Optional.of(new Item.Done(done()));
                }
                failIfOver();
                if (left <= 0) {
                    return Optional.empty();
                }
                left = changed.awaitNanos(left);
            }
            return Optional.of(take());
        } catch (InterruptedException e) {
            throw interrupted(e);
        } finally {
            lock.unlock();
        }
    }

    /** Whether the guest has sent something that was not taken. */
    boolean hasNext() {
        lock.lock();
        try {
            return !items.isEmpty();
        } finally {
            lock.unlock();
        }
    }

    private Item take() {
        Item item = items.remove();
        if (item instanceof Item.Data(int _, byte[] bytes)) {
            giveBack(bytes.length + Wire.DATA_OVERHEAD);
        }
        return item;
    }

    /** Waits for the end of an exchange in which the guest sends no data. */
    Reply awaitDone() {
        return switch (next()) {
            case Item.Done(Reply reply) -> reply;
            case Item.Data _, Item.End _ -> throw new ProtocolViolation(operation + ": data out of place");
        };
    }

    private void giveBack(int cost) {
        taken += cost;
        if (taken >= Wire.WINDOW / 4 && result == null && !closing) {
            granted += taken;
            byte[] grant = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(taken).array();
            taken = 0;
            outbox.sendControl(Wire.CREDIT, id, grant);
        }
    }

    /** Sends data; waits while the guest does not take it. */
    void send(byte[] data, int offset, int length) {
        int at = offset;
        int end = offset + length;
        while (at < end) {
            int n = reserve(end - at);
            try {
                outbox.send(Wire.DATA, 0, id, data, at, n);
            } catch (InterruptedException e) {
                throw interrupted(e);
            }
            at += n;
        }
    }

    private int reserve(int wanted) {
        lockOrFail();
        try {
            while (true) {
                failIfLetGo();
                if (result != null) {
                    done();
                    throw new GuestException(Kind.NOT_FOUND, "the guest has closed the channel");
                }
                if (credit > Wire.DATA_OVERHEAD) {
                    int n = Math.min(wanted, Math.min(credit - Wire.DATA_OVERHEAD, Wire.MAX_PAYLOAD_OUT));
                    credit -= n + Wire.DATA_OVERHEAD;
                    outstanding += n + Wire.DATA_OVERHEAD;
                    return n;
                }
                awaitChange();
            }
        } finally {
            lock.unlock();
        }
    }

    /** Says that no more data comes. */
    void sendEnd() {
        outbox.sendControl(Wire.END, id);
    }

    /** Whether the guest has ended the channel. */
    boolean over() {
        lock.lock();
        try {
            return result != null || lost != null;
        } finally {
            lock.unlock();
        }
    }

    /** Lets go of the channel; what is unread is dropped. Callers that wait are told. */
    @Override
    public void close() {
        lock.lock();
        try {
            if (closing || result != null || lost != null) {
                closing = true;
                return;
            }
            closing = true;
            items.clear();
            changed.signalAll();
            outbox.sendControl(Wire.CLOSE, id);
        } finally {
            lock.unlock();
        }
    }

    /** The answer behind the kind; throws if it is a failure. */
    private Reply done() {
        var reply = new Reply(result);
        Kind failure = KINDS[reply.u8()];
        if (failure != null) {
            throw new GuestException(failure, reply.message());
        }
        return reply;
    }

    private void lockOrFail() {
        try {
            lock.lockInterruptibly();
        } catch (InterruptedException e) {
            throw interrupted(e);
        }
    }

    /** First of all: the guest's last word on a channel that was let go of is the answer to that. */
    private void failIfLetGo() {
        if (closing) {
            throw new GuestException(Kind.INVALID_ARGUMENT, "the channel is closed");
        }
    }

    private void failIfOver() {
        failIfLetGo();
        if (lost != null) {
            throw new GuestException(Kind.DISCONNECTED, lost);
        }
    }

    private void awaitChange() {
        failIfOver();
        try {
            changed.await();
        } catch (InterruptedException e) {
            throw interrupted(e);
        }
    }

    static GuestException interrupted(InterruptedException e) {
        Thread.currentThread().interrupt();
        return new GuestException(Kind.INTERNAL, "interrupted while waiting for the guest", e);
    }
}
