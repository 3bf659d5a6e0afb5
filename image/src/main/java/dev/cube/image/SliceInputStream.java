package dev.cube.image;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** A range of an open file. Does not move the file's position; closing leaves the file open. */
final class SliceInputStream extends InputStream {
    private final FileChannel file;
    private long at;
    private long remaining;

    SliceInputStream(FileChannel file, long offset, long size) {
        this.file = file;
        this.at = offset;
        this.remaining = size;
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        if (remaining == 0) {
            return -1;
        }
        int n = file.read(ByteBuffer.wrap(buffer, offset, (int) Math.min(length, remaining)), at);
        if (n < 0) {
            throw new ImageException("the archive ends too early");
        }
        at += n;
        remaining -= n;
        return n;
    }
}
