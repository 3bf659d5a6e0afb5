package dev.cube.envd.interpreter;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Queue;

/** Cuts a stream of bytes into lines of bounded length. */
final class LineBuffer {
    private final int limit;
    private final Queue<byte[]> complete = new ArrayDeque<>();
    private byte[] partial = new byte[4096];
    private int length;

    LineBuffer(int limit) {
        this.limit = limit;
    }

    /** Takes in what came next; {@link KernelException} if a line gets too long. */
    void add(byte[] data) {
        int start = 0;
        for (int at = 0; at < data.length; at++) {
            if (data[at] == '\n') {
                append(data, start, at);
                complete.add(Arrays.copyOf(partial, length));
                length = 0;
                start = at + 1;
            }
        }
        append(data, start, data.length);
    }

    /** The next whole line without its end, or null if there is none yet. */
    byte[] poll() {
        return complete.poll();
    }

    boolean isEmpty() {
        return complete.isEmpty();
    }

    private void append(byte[] data, int from, int to) {
        int count = to - from;
        if (count > limit - length) {
            throw new KernelException("the kernel sent a line of more than " + limit + " bytes");
        }
        if (length + count > partial.length) {
            partial = Arrays.copyOf(partial, Math.min(limit, Math.max(2 * partial.length, length + count)));
        }
        System.arraycopy(data, from, partial, length, count);
        length += count;
        if (length == 0 && partial.length > 1 << 20) {
            partial = new byte[4096];
        }
    }
}
