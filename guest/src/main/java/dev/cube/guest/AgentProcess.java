package dev.cube.guest;

import dev.cube.guest.ProcessEvent.Stream;

/** A process held through a channel. */
final class AgentProcess implements GuestProcess {
    private static final Stream[] STREAMS = {Stream.STDOUT, Stream.STDERR, Stream.PTY};

    private final AgentConnection connection;
    private final Channel channel;
    private final int pid;

    AgentProcess(AgentConnection connection, Channel channel, int pid) {
        this.connection = connection;
        this.channel = channel;
        this.pid = pid;
    }

    @Override
    public int pid() {
        return pid;
    }

    @Override
    public ProcessEvent next() {
        return connection.checked(() -> switch (channel.next()) {
            case Channel.Item.Data(int stream, byte[] bytes) -> new ProcessEvent.Output(STREAMS[stream], bytes);
            case Channel.Item.End _ -> throw new ProtocolViolation("end of data out of place");
            case Channel.Item.Done(Reply exit) -> {
                var exited = new ProcessEvent.Exited(exit.count(), exit.count());
                exit.end();
                yield exited;
            }
        });
    }

    @Override
    public void write(byte[] data, int offset, int length) {
        channel.send(data, offset, length);
    }

    @Override
    public void closeStdin() {
        channel.sendEnd();
    }

    @Override
    public void signal(int number) {
        connection.signal(pid, number);
    }

    @Override
    public void resize(ProcessSpec.PtySize size) {
        connection.resize(pid, size);
    }

    @Override
    public void close() {
        channel.close();
    }
}
