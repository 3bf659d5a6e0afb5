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
    /** What has been received and not read yet, ready to be read. */
    private final ByteBuffer received = ByteBuffer.allocate(4096).limit(0);

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
        return readLine();
    }

    /** Reads to the end what somebody else had asked for, as in a copy of a VM that was answering. */
    void skipOldAnswers() throws IOException {
        tell("ping");
        while (!readLine().equals("pong")) {
            // The rest of it.
        }
    }

    void send(byte[] bytes) throws IOException {
        for (ByteBuffer rest = ByteBuffer.wrap(bytes); rest.hasRemaining();) {
            channel.write(rest);
        }
    }

    byte[] receive(int count) throws IOException {
        byte[] result = new byte[count];
        for (int i = 0; i < count; i++) {
            result[i] = next();
        }
        return result;
    }

    String readLine() throws IOException {
        StringBuilder line = new StringBuilder();
        for (byte next = next(); next != '\n'; next = next()) {
            line.append((char) next);
        }
        return line.toString();
    }

    private byte next() throws IOException {
        if (!received.hasRemaining()) {
            received.clear();
            int count = channel.read(received);
            received.flip();
            if (count < 0) {
                throw new EOFException("the guest's port was closed");
            }
        }
        return received.get();
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
