package dev.cube.guest;

import java.io.InputStream;

/** A file being read through a channel. */
final class AgentFileReader implements GuestFileReader {
    private final Channel channel;
    private final FileInfo info;
    private final InputStream input;

    AgentFileReader(AgentConnection connection, Channel channel, FileInfo info) {
        this.channel = channel;
        this.info = info;
        this.input = new ChannelInput(connection, channel);
    }

    @Override
    public FileInfo info() {
        return info;
    }

    @Override
    public InputStream input() {
        return input;
    }

    @Override
    public void close() {
        channel.close();
    }
}
