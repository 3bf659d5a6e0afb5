package dev.cube.image;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;

/**
 * When a decompressor says that it is at its end, reads the compressed stream to the end as well, so that its digest is
 * verified: a decompressor need not look at what follows the last frame.
 */
final class DrainingInputStream extends FilterInputStream {
    private final InputStream compressed;
    private boolean drained;

    DrainingInputStream(InputStream decompressed, InputStream compressed) {
        super(decompressed);
        this.compressed = compressed;
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
        int n = super.read(buffer, offset, length);
        if (n < 0 && !drained) {
            drained = true;
            byte[] rest = new byte[8192];
            while (compressed.read(rest) >= 0) {
                // Only its digest is of interest.
            }
        }
        return n;
    }
}
