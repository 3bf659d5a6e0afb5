package dev.cube.guest;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A new host is heard wherever the last one was broken off. */
@Timeout(120)
class ResynchronisationIT {
    @TempDir
    private Path directory;

    private static byte[] hello(byte[] nonce) {
        byte[] body = new Request().u16(Wire.VERSION).u8(0).raw(nonce).u64(0).raw(new byte[Wire.ENTROPY_LENGTH])
                .string("").body();
        var bytes = new ByteArrayOutputStream();
        bytes.writeBytes(new byte[Wire.PREAMBLE]);
        bytes.writeBytes(Wire.HOST_MAGIC);
        bytes.writeBytes(FakeGuest.frame(Wire.HELLO, 0, 0, body));
        return bytes.toByteArray();
    }

    /** Requests of most kinds, as a host sends them in a session. */
    private byte[] conversation() {
        var bytes = new ByteArrayOutputStream();
        int id = Wire.CHANNELS;
        String user = System.getProperty("user.name");
        bytes.writeBytes(FakeGuest.frame(Wire.OPEN, 0, id, Request.of(Operation.USER).string("root").body()));
        bytes.writeBytes(FakeGuest.frame(Wire.OPEN, 0, id + 1, Request.of(Operation.START).string("cat").u32(0).u32(0)
                .u8(StartFlags.STDIN).u16(0).u16(0).string("/").string(user).string("").u64(0).body()));
        bytes.writeBytes(FakeGuest.frame(Wire.DATA, 0, id + 1, "to be echoed".getBytes(UTF_8)));
        bytes.writeBytes(FakeGuest.frame(Wire.END, 0, id + 1));
        byte[] write = Request.of(Operation.WRITE).string(directory.resolve("file").toString()).string(user).u32(-1).u32(0)
                .body();
        bytes.writeBytes(FakeGuest.frame(Wire.OPEN, Wire.FLAG_MORE, id + 2, java.util.Arrays.copyOf(write, 20)));
        bytes.writeBytes(FakeGuest.frame(Wire.OPEN, 0, id + 2, java.util.Arrays.copyOfRange(write, 20, write.length)));
        bytes.writeBytes(FakeGuest.frame(Wire.DATA, 0, id + 2, "content".getBytes(UTF_8)));
        bytes.writeBytes(FakeGuest.frame(Wire.END, 0, id + 2));
        bytes.writeBytes(FakeGuest.frame(Wire.OPEN, 0, id + 3, Request.of(Operation.LIST).string("/etc").u32(1).body()));
        bytes.writeBytes(FakeGuest.frame(Wire.CLOSE, 0, id + 3));
        return bytes.toByteArray();
    }

    private static void write(SocketChannel socket, byte[] bytes, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes, 0, length);
        while (buffer.hasRemaining()) {
            socket.write(buffer);
        }
    }

    private static void assertAnswered(SocketChannel socket, byte[] nonce) throws IOException {
        var scanner = new AckScanner(nonce);
        ByteBuffer input = ByteBuffer.allocate(64 * 1024);
        do {
            assertThat(socket.read(input)).isPositive();
            input.flip();
            if (scanner.find(input)) {
                return;
            }
            input.compact();
        } while (true);
    }

    @Test
    void atEveryByteOfAConversation() throws IOException {
        try (LocalAgent local = LocalAgent.start(directory);
                SocketChannel socket = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            socket.connect(UnixDomainSocketAddress.of(local.socket()));
            byte[] conversation = conversation();
            var random = new Random(5);
            for (int cut = 0; cut <= conversation.length; cut++) {
                byte[] nonce = new byte[Wire.NONCE_LENGTH];
                random.nextBytes(nonce);
                write(socket, hello(nonce), hello(nonce).length);
                assertAnswered(socket, nonce);
                write(socket, conversation, cut);
            }
            byte[] nonce = new byte[Wire.NONCE_LENGTH];
            write(socket, hello(nonce), hello(nonce).length);
            assertAnswered(socket, nonce);
            assertThat(directory.resolve("file")).hasContent("content");
            assertThat(Files.list(directory).map(file -> file.getFileName().toString()))
                    .noneMatch(name -> name.startsWith(".cube-"));
        }
    }

    @Test
    void afterGarbage() throws IOException {
        try (LocalAgent local = LocalAgent.start(directory);
                SocketChannel socket = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            socket.connect(UnixDomainSocketAddress.of(local.socket()));
            var random = new Random(6);
            for (int round = 0; round < 300; round++) {
                byte[] nonce = new byte[Wire.NONCE_LENGTH];
                random.nextBytes(nonce);
                write(socket, hello(nonce), hello(nonce).length);
                assertAnswered(socket, nonce);
                byte[] garbage = new byte[random.nextInt(5000)];
                random.nextBytes(garbage);
                /* half of the time with a header that looks right */
                if (round % 2 == 0 && garbage.length > 600) {
                    System.arraycopy(FakeGuest.frame(Wire.OPEN, 0, 1, new byte[0]), 0, garbage, 0, 8);
                    garbage[2] = (byte) random.nextInt(250);
                    garbage[8 + Byte.toUnsignedInt(garbage[2])] = Wire.MARKER;
                    garbage[8] = (byte) (1 + random.nextInt(15));
                }
                write(socket, garbage, garbage.length);
            }
        }
    }
}
