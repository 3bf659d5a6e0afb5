package dev.cube.hypervisor;

import java.io.EOFException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where forked QEMUs connect to. Each connection begins with a preface that says whose it is ({@code struct
 * livefork_preface} of the memory library). Thread-safe.
 */
final class ForkListener implements AutoCloseable {
    static final int TOKEN_BYTES = 16;
    private static final Logger LOG = LoggerFactory.getLogger(ForkListener.class);
    private static final byte[] MAGIC = "cubefork".getBytes(StandardCharsets.US_ASCII);
    private static final int NAME_BYTES = 32;
    private static final int PREFACE_BYTES = MAGIC.length + TOKEN_BYTES + NAME_BYTES + 8;
    private static final SecureRandom RANDOM = new SecureRandom();

    private final Path socket;
    private final ServerSocketChannel listener;
    private final Map<String, Expected> expected = new ConcurrentHashMap<>();

    private ForkListener(Path socket, ServerSocketChannel listener) {
        this.socket = socket;
        this.listener = listener;
    }

    static ForkListener open(Path socket) throws IOException {
        Files.deleteIfExists(socket);
        ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.bind(UnixDomainSocketAddress.of(socket), 128);
        } catch (IOException e) {
            channel.close();
            throw e;
        }
        ForkListener result = new ForkListener(socket, channel);
        Thread.ofVirtual().name("fork-listener").start(result::acceptUntilClosed);
        return result;
    }

    Path socket() {
        return socket;
    }

    /** A child that is about to be made, known by its token. To be closed in any case. */
    final class Expected implements AutoCloseable {
        private final byte[] token = new byte[TOKEN_BYTES];
        private final Set<String> names;
        private final Map<String, SocketChannel> channels = new HashMap<>();
        private final CompletableFuture<Map<String, SocketChannel>> complete = new CompletableFuture<>();

        private Expected(Set<String> names) {
            this.names = names;
            RANDOM.nextBytes(token);
        }

        byte[] token() {
            return token;
        }

        /** The child's connections by name, when all are there. The caller closes them. */
        Map<String, SocketChannel> await(Duration timeout) throws IOException {
            return QmpClient.await(complete, timeout, "the connections of a forked QEMU");
        }

        private synchronized boolean add(String name, SocketChannel channel) {
            if (complete.isDone() || !names.contains(name) || channels.putIfAbsent(name, channel) != null) {
                return false;
            }
            if (channels.size() == names.size()) {
                complete.complete(Map.copyOf(channels));
            }
            return true;
        }

        @Override
        public synchronized void close() {
            expected.remove(HexFormat.of().formatHex(token), this);
            if (complete.completeExceptionally(new IOException("the fork was given up"))) {
                channels.values().forEach(ForkListener::closeQuietly);
            }
        }
    }

    /** Announces a child that will make connections of these names. */
    Expected expect(Set<String> names) {
        Expected result = new Expected(names);
        expected.put(HexFormat.of().formatHex(result.token), result);
        return result;
    }

    private void acceptUntilClosed() {
        try {
            while (true) {
                SocketChannel channel = listener.accept();
                Thread.ofVirtual().name("fork-preface").start(() -> take(channel));
            }
        } catch (ClosedChannelException e) {
            // Closed by close().
        } catch (IOException e) {
            LOG.error("forked QEMUs can no longer connect: {}", e.getMessage());
        }
    }

    private void take(SocketChannel channel) {
        boolean taken = false;
        try {
            ByteBuffer preface = ByteBuffer.allocate(PREFACE_BYTES);
            while (preface.hasRemaining()) {
                if (channel.read(preface) < 0) {
                    throw new EOFException("a connection without a preface");
                }
            }
            byte[] bytes = preface.array();
            Expected child = expected.get(HexFormat.of().formatHex(bytes, MAGIC.length, MAGIC.length + TOKEN_BYTES));
            boolean known = child != null && java.util.Arrays.equals(bytes, 0, MAGIC.length, MAGIC, 0, MAGIC.length);
            taken = known && child.add(name(bytes), channel);
        } catch (IOException e) {
            LOG.debug("a forked QEMU did not introduce itself: {}", e.getMessage());
        } finally {
            if (!taken) {
                closeQuietly(channel);
            }
        }
    }

    private static String name(byte[] preface) {
        int from = MAGIC.length + TOKEN_BYTES;
        int to = from;
        while (to < from + NAME_BYTES && preface[to] != 0) {
            to++;
        }
        return new String(preface, from, to - from, StandardCharsets.US_ASCII);
    }

    private static void closeQuietly(SocketChannel channel) {
        try {
            channel.close();
        } catch (IOException e) {
            LOG.debug("closing a connection: {}", e.getMessage());
        }
    }

    @Override
    public void close() {
        try {
            listener.close();
            Files.deleteIfExists(socket);
        } catch (IOException e) {
            LOG.debug("closing the fork listener: {}", e.getMessage());
        }
    }
}
