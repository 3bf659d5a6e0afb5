package dev.cube.guest;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;

/** A guest that begins a session properly and then does what the test wants. */
final class FakeGuest implements AutoCloseable {
    private static final int HELLO_AT = Wire.PREAMBLE + Wire.HOST_MAGIC.length;
    private static final int NONCE_AT = HELLO_AT + Wire.HEADER_LENGTH + 3;
    /** A HELLO of {@link Epoch.Reattached}: version, kind, nonce, time, entropy, empty hostname. */
    private static final int HELLO_LENGTH = Wire.HEADER_LENGTH + 3 + Wire.NONCE_LENGTH + 8 + Wire.ENTROPY_LENGTH + 5 + 1;

    private final ServerSocketChannel server;
    private final SocketChannel socket;
    private final AgentConnection connection;

    private FakeGuest(ServerSocketChannel server, SocketChannel socket, AgentConnection connection) {
        this.server = server;
        this.socket = socket;
        this.connection = connection;
    }

    /** @param before what an earlier host left unread */
    static FakeGuest start(Path directory, byte... before) throws IOException {
        return start(directory, Wire.VERSION, before);
    }

    static FakeGuest startWithVersion(Path directory, int version) throws IOException {
        return start(directory, version, new byte[0]);
    }

    private static FakeGuest start(Path directory, int version, byte[] before) throws IOException {
        Path path = directory.resolve("fake.sock");
        var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(path));
        CompletableFuture<AgentConnection> opening = CompletableFuture.supplyAsync(
                () -> AgentConnection.open(path, new Epoch.Reattached(), Duration.ofSeconds(10)),
                task -> Thread.ofVirtual().start(task));
        SocketChannel socket = server.accept();
        ByteBuffer hello = ByteBuffer.allocate(HELLO_AT + HELLO_LENGTH);
        while (hello.hasRemaining()) {
            socket.read(hello);
        }
        byte[] nonce = Arrays.copyOfRange(hello.array(), NONCE_AT, NONCE_AT + Wire.NONCE_LENGTH);
        byte[] ack = new Request().raw(nonce).u16(version).u32(Wire.WINDOW).u32(Wire.CHANNELS).body();
        write(socket, before);
        write(socket, Wire.GUEST_MAGIC);
        write(socket, frame(Wire.HELLO_ACK, 0, 0, ack));
        return new FakeGuest(server, socket, opening.join());
    }

    static byte[] frame(int type, int flags, int channel, byte... payload) {
        return ByteBuffer.allocate(Wire.HEADER_LENGTH + payload.length + 1).order(ByteOrder.LITTLE_ENDIAN)
                .put((byte) type).put((byte) flags).putShort((short) payload.length).putInt(channel).put(payload)
                .put(Wire.MARKER).array();
    }

    AgentConnection connection() {
        return connection;
    }

    void send(byte[] bytes) throws IOException {
        write(socket, bytes);
    }

    /** Reads what the host sends until a request has come, so that its channel is open. */
    void awaitOpen() throws IOException {
        ByteBuffer input = ByteBuffer.allocate(64 * 1024).order(ByteOrder.LITTLE_ENDIAN);
        while (true) {
            input.flip();
            while (input.remaining() >= Wire.HEADER_LENGTH) {
                int length = Short.toUnsignedInt(input.getShort(input.position() + 2));
                if (input.remaining() < Wire.HEADER_LENGTH + length + 1) {
                    break;
                }
                if (input.get(input.position()) == Wire.OPEN) {
                    return;
                }
                input.position(input.position() + Wire.HEADER_LENGTH + length + 1);
            }
            input.compact();
            if (socket.read(input) < 0) {
                throw new IOException("the host is gone");
            }
        }
    }

    private static void write(SocketChannel socket, byte[] bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        while (buffer.hasRemaining()) {
            socket.write(buffer);
        }
    }

    @Override
    public void close() throws IOException {
        connection.close();
        socket.close();
        server.close();
    }
}
