package dev.cube.guest;

/** A file being written through a channel. */
final class AgentFileWriter implements GuestFileWriter {
    private final AgentConnection connection;
    private final Channel channel;

    AgentFileWriter(AgentConnection connection, Channel channel) {
        this.connection = connection;
        this.channel = channel;
    }

    @Override
    public void write(byte[] data, int offset, int length) {
        channel.send(data, offset, length);
    }

    @Override
    public FileInfo commit() {
        channel.sendEnd();
        return connection.checked(() -> channel.awaitDone().fileInfo());
    }

    @Override
    public void close() {
        channel.close();
    }
}
