package dev.cube.image;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;

/**
 * Ends a transfer that has stood still for a minute: the HTTP client's own time limit ends with the response's headers.
 * The reader then sees an {@link IOException}.
 */
final class StallGuard extends FilterInputStream {
    private static final Duration LIMIT = Duration.ofSeconds(60);

    private final Thread watcher;
    private volatile long progress;
    private volatile boolean reading;

    StallGuard(InputStream in) {
        super(in);
        watcher = Thread.ofVirtual().start(this::watch);
    }

    private void watch() {
        try {
            while (true) {
                long before = progress;
                Thread.sleep(LIMIT);
                if (reading && progress == before) {
                    in.close();
                    return;
                }
            }
        } catch (InterruptedException | IOException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
        reading = true;
        try {
            int n = super.read(buffer, offset, length);
            progress++;
            return n;
        } finally {
            reading = false;
        }
    }

    @Override
    public void close() throws IOException {
        watcher.interrupt();
        super.close();
    }
}
