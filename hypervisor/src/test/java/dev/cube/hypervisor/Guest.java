package dev.cube.hypervisor;

import java.io.EOFException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/** Talks to the test guest's init: a line there, a line back. */
final class Guest implements AutoCloseable {
    private final SocketChannel channel;

    private Guest(SocketChannel channel) {
        this.channel = channel;
    }

    static Guest connect(Vm vm) throws IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channel.connect(UnixDomainSocketAddress.of(vm.agentSocket()));
        return new Guest(channel);
    }

    /** Asks one question on a connection of its own. */
    static String ask(Vm vm, String command) throws IOException {
        try (Guest guest = connect(vm)) {
            return guest.ask(command);
        }
    }

    void tell(String command) throws IOException {
        channel.write(StandardCharsets.US_ASCII.encode(command + "\n"));
    }

    String ask(String command) throws IOException {
        tell(command);
        StringBuilder answer = new StringBuilder();
        ByteBuffer one = ByteBuffer.allocate(1);
        while (true) {
            if (channel.read(one.clear()) < 0) {
                throw new EOFException("the guest's port was closed");
            }
            char next = (char) one.get(0);
            if (next == '\n') {
                return answer.toString();
            }
            answer.append(next);
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
