package dev.cube.guest;

import java.io.InputStream;
import java.io.OutputStream;

/** A TCP connection inside the guest, through a channel. */
final class AgentStream implements GuestStream {
    private final Channel channel;
    private final InputStream input;
    private final OutputStream output;

    AgentStream(AgentConnection connection, Channel channel) {
        this.channel = channel;
        this.input = new ChannelInput(connection, channel);
        this.output = new ChannelOutput(channel);
    }

    @Override
    public InputStream input() {
        return input;
    }

    @Override
    public OutputStream output() {
        return output;
    }

    @Override
    public void close() {
        channel.close();
    }
}
