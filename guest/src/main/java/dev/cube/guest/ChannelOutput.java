package dev.cube.guest;

import java.io.IOException;
import java.io.OutputStream;
import java.util.Objects;

/** A channel as a stream to write to; closing says that no more comes. */
final class ChannelOutput extends OutputStream {
    private final Channel channel;
    private boolean closed;

    ChannelOutput(Channel channel) {
        this.channel = channel;
    }

    @Override
    public void write(int b) throws IOException {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] data, int offset, int length) throws IOException {
        Objects.checkFromIndexSize(offset, length, data.length);
        if (closed) {
            throw new IOException("closed for writing");
        }
        try {
            channel.send(data, offset, length);
        } catch (GuestException e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            channel.sendEnd();
        }
    }
}
