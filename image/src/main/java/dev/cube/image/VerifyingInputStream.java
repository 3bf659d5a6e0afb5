package dev.cube.image;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.security.MessageDigest;

/**
 * Passes content through and throws {@link ImageException} where it is not the content expected: at the first byte too
 * many, or at the end. Only a reader that reads to the end knows that it was given the right thing.
 */
final class VerifyingInputStream extends FilterInputStream {
    static final long UNKNOWN_SIZE = -1;

    private final String what;
    private final Digest expected;
    private final long size;
    private final MessageDigest hash;
    private long count;
    private boolean ended;

    VerifyingInputStream(InputStream in, String what, Digest expected, long size) {
        super(in);
        this.what = what;
        this.expected = expected;
        this.size = size;
        this.hash = Digest.newMessageDigest(expected.algorithm());
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
        int n = super.read(buffer, offset, length);
        if (n > 0) {
            count += n;
            hash.update(buffer, offset, n);
            if (size != UNKNOWN_SIZE && count > size) {
                throw new ImageException("%s is larger than the %d bytes it should have".formatted(what, size));
            }
        } else if (n < 0 && !ended) {
            ended = true;
            verify();
        }
        return n;
    }

    private void verify() {
        if (size != UNKNOWN_SIZE && count != size) {
            throw new ImageException("%s has %d bytes instead of %d".formatted(what, count, size));
        }
        Digest actual = Digest.of(expected.algorithm(), hash.digest());
        if (!actual.equals(expected)) {
            throw new ImageException("%s is damaged: its digest is %s instead of %s".formatted(what, actual, expected));
        }
    }

    @Override
    public long skip(long count) throws IOException {
        return Math.max(0, read(new byte[(int) Math.min(count, 64 * 1024)]));
    }

    @Override
    public boolean markSupported() {
        return false;
    }
}
