package dev.cube.guest;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The open channels of a connection. An ID is a slot, below {@link Wire#CHANNELS}, and above it how often the slot was
 * used, so that a late frame is never taken for one of the slot's next channel. Thread-safe.
 */
final class ChannelTable {
    private final ReentrantLock lock = new ReentrantLock();
    private final Channel[] slots = new Channel[Wire.CHANNELS];
    private final int[] uses = new int[Wire.CHANNELS];
    private final ArrayDeque<Integer> free = new ArrayDeque<>(Wire.CHANNELS);
    private final Outbox outbox;
    private String lost;

    ChannelTable(Outbox outbox) {
        this.outbox = outbox;
        for (int slot = 0; slot < Wire.CHANNELS; slot++) {
            free.add(slot);
        }
    }

    Channel open(Operation operation) {
        lock.lock();
        try {
            if (lost != null) {
                throw new GuestException(GuestException.Kind.DISCONNECTED, lost);
            }
            Integer slot = free.poll();
            if (slot == null) {
                throw new GuestException(GuestException.Kind.RESOURCE_EXHAUSTED,
                        "more than %d operations at once in one sandbox".formatted(Wire.CHANNELS));
            }
            uses[slot]++;
            Channel channel = new Channel(uses[slot] * Wire.CHANNELS + slot, operation, outbox);
            slots[slot] = channel;
            return channel;
        } finally {
            lock.unlock();
        }
    }

    Channel require(int id) {
        lock.lock();
        try {
            return find(id).orElseThrow(() -> new ProtocolViolation(
                    "frame for channel %s, which is not open".formatted(Integer.toUnsignedString(id))));
        } finally {
            lock.unlock();
        }
    }

    private Optional<Channel> find(int id) {
        return Optional.ofNullable(slots[Math.floorMod(id, Wire.CHANNELS)]).filter(channel -> channel.id() == id);
    }

    void free(Channel channel) {
        lock.lock();
        try {
            int slot = Math.floorMod(channel.id(), Wire.CHANNELS);
            slots[slot] = null;
            free.add(slot);
        } finally {
            lock.unlock();
        }
    }

    void lose(String reason) {
        List<Channel> open;
        lock.lock();
        try {
            lost = reason;
            open = Arrays.stream(slots).filter(Objects::nonNull).toList();
            Arrays.fill(slots, null);
        } finally {
            lock.unlock();
        }
        open.forEach(channel -> channel.onLost(reason));
    }
}
