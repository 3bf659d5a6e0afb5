package dev.cube.guest;

import java.io.IOException;
import java.io.InputStream;
import java.util.Objects;

/** The data of a channel as a stream. For one reader. */
final class ChannelInput extends InputStream {
    private final AgentConnection connection;
    private final Channel channel;
    private byte[] current = {};
    private int at;
    private boolean ended;

    ChannelInput(AgentConnection connection, Channel channel) {
        this.connection = connection;
        this.channel = channel;
    }

    @Override
    public int read() throws IOException {
        return fill() ? Byte.toUnsignedInt(current[at++]) : -1;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
        Objects.checkFromIndexSize(offset, length, buffer.length);
        if (length == 0) {
            return 0;
        }
        if (!fill()) {
            return -1;
        }
        int n = Math.min(length, current.length - at);
        System.arraycopy(current, at, buffer, offset, n);
        at += n;
        return n;
    }

    @Override
    public int available() {
        return current.length - at;
    }

    private boolean fill() throws IOException {
        while (at == current.length && !ended) {
            switch (take()) {
                case Channel.Item.Data(int _, byte[] bytes) -> {
                    current = bytes;
                    at = 0;
                }
                case Channel.Item.End _, Channel.Item.Done _ -> ended = true;
            }
        }
        return at < current.length;
    }

    private Channel.Item take() throws IOException {
        try {
            return connection.checked(channel::next);
        } catch (GuestException e) {
            throw new IOException(e.getMessage(), e);
        }
    }
}
