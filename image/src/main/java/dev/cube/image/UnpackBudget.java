package dev.cube.image;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;

/** What is left of an image's {@link UnpackLimits}. For one thread. */
final class UnpackBudget {
    private final UnpackLimits limits;
    private long bytes;
    private long entries;

    UnpackBudget(UnpackLimits limits) {
        this.limits = limits;
    }

    void countEntry() {
        if (++entries > limits.maxEntries()) {
            throw new ImageException("the image holds more than %d files".formatted(limits.maxEntries()));
        }
    }

    /** Counts what is read from a layer. Skips by reading, so that nothing passes uncounted. */
    InputStream count(InputStream layer) {
        return new FilterInputStream(layer) {
            @Override
            public int read() throws IOException {
                int b = super.read();
                countBytes(b < 0 ? 0 : 1);
                return b;
            }

            @Override
            public int read(byte[] buffer, int offset, int length) throws IOException {
                int n = super.read(buffer, offset, length);
                countBytes(n);
                return n;
            }

            @Override
            public long skip(long count) throws IOException {
                return Math.max(0, read(new byte[(int) Math.min(count, 64 * 1024)]));
            }
        };
    }

    private void countBytes(long count) {
        bytes += Math.max(0, count);
        if (bytes > limits.maxBytes()) {
            throw new ImageException(
                    "the image unpacks to more than %d MiB".formatted(limits.maxBytes() >> 20));
        }
    }
}
