package dev.cube.image;

import java.io.IOException;
import java.io.InputStream;

/** Content from the network, taken up again where the transfer broke off. */
final class ResumingInputStream extends InputStream {
    /** In a row, without a byte between them; opening has attempts of its own. */
    private static final int MAX_BREAKS = 5;

    @FunctionalInterface
    interface Opener {
        InputStream openAt(long offset) throws IOException;
    }

    private final Opener opener;
    private InputStream in;
    private long offset;
    private int breaks;

    ResumingInputStream(Opener opener) throws IOException {
        this.opener = opener;
        this.in = opener.openAt(0);
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int start, int length) throws IOException {
        while (true) {
            try {
                int n = in.read(buffer, start, length);
                if (n > 0) {
                    offset += n;
                    breaks = 0;
                }
                return n;
            } catch (IOException e) {
                in.close();
                if (Thread.currentThread().isInterrupted() || ++breaks > MAX_BREAKS) {
                    throw e;
                }
                in = opener.openAt(offset);
            }
        }
    }

    @Override
    public void close() throws IOException {
        in.close();
    }
}
