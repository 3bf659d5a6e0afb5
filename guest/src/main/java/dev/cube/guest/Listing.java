package dev.cube.guest;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/** An answer in many parts. What the guest can make the host keep is bounded in bytes and entries. */
final class Listing {
    private final int maxEntries;
    private final int maxBytes;
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    Listing(int maxEntries, int maxBytes) {
        this.maxEntries = maxEntries;
        this.maxBytes = maxBytes;
    }

    void add(byte[] part) {
        if (bytes.size() + part.length > maxBytes) {
            throw tooLarge();
        }
        bytes.writeBytes(part);
    }

    <T> List<T> decode(Function<Reply, T> entry) {
        var reply = new Reply(bytes.toByteArray());
        List<T> entries = new ArrayList<>();
        while (reply.hasMore()) {
            if (entries.size() == maxEntries) {
                throw tooLarge();
            }
            entries.add(entry.apply(reply));
        }
        return entries;
    }

    private GuestException tooLarge() {
        return new GuestException(GuestException.Kind.RESOURCE_EXHAUSTED,
                "the list has more than %d entries or %d bytes; ask for less of it".formatted(maxEntries, maxBytes));
    }
}
