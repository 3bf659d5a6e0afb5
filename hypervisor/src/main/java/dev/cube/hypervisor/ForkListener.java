package dev.cube.hypervisor;

import java.io.EOFException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
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
    private static final int PID_OFFSET = MAGIC.length + TOKEN_BYTES + NAME_BYTES;
    private static final int PREFACE_BYTES = PID_OFFSET + 8;
    private static final int REAP_ATTEMPTS = 100;
    private static final Duration REAP_EVERY = Duration.ofMillis(100);
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
            Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-------"));
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

        private volatile boolean taken;
        private volatile long pid;

        private Expected(Set<String> names) {
            this.names = names;
            RANDOM.nextBytes(token);
        }

        byte[] token() {
            return token;
        }

        /** The child's connections by name, if all are there in that time. The caller closes them. */
        Optional<Map<String, SocketChannel>> await(Duration timeout) throws IOException {
            try {
                var result = Optional.of(complete.get(timeout.toNanos(), TimeUnit.NANOSECONDS));
                taken = true;
                return result;
            } catch (TimeoutException e) {
                return Optional.empty();
            } catch (ExecutionException e) {
                throw new IOException(e.getCause().getMessage(), e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted while a QEMU was forked", e);
            }
        }

        private synchronized boolean add(String name, SocketChannel channel, long childPid) {
            pid = childPid;
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
            if (!taken) {
                complete.completeExceptionally(new IOException("the fork was given up"));
                channels.values().forEach(ForkListener::closeQuietly);
                Thread.ofVirtual().name("fork-reaper").start(() -> reap(pid));
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
                ByteBuffer preface = ByteBuffer.allocate(PREFACE_BYTES);
                if (isHere(channel, preface)) {
                    take(channel, preface);
                } else {
                    Thread.ofVirtual().name("fork-preface").start(() -> take(channel, preface));
                }
            }
        } catch (ClosedChannelException e) {
            // Closed by close().
        } catch (IOException e) {
            LOG.error("forked QEMUs can no longer connect: {}", e.getMessage());
        }
    }

    /** Reads the preface unless it must be waited for: a child writes it at once, and another thread would have to be woken for it. */
    private static boolean isHere(SocketChannel channel, ByteBuffer preface) {
        try {
            channel.configureBlocking(false);
            try {
                channel.read(preface);
            } finally {
                channel.configureBlocking(true);
            }
            return !preface.hasRemaining();
        } catch (IOException e) {
            LOG.debug("a forked QEMU was not heard: {}", e.getMessage());
            return false;
        }
    }

    /** @param preface as far as it has been read */
    private void take(SocketChannel channel, ByteBuffer preface) {
        boolean taken = false;
        long pid = 0;
        try {
            while (preface.hasRemaining()) {
                if (channel.read(preface) < 0) {
                    throw new EOFException("a connection without a preface");
                }
            }
            byte[] bytes = preface.array();
            Expected child = expected.get(HexFormat.of().formatHex(bytes, MAGIC.length, MAGIC.length + TOKEN_BYTES));
            boolean known = child != null && java.util.Arrays.equals(bytes, 0, MAGIC.length, MAGIC, 0, MAGIC.length);
            pid = preface.order(ByteOrder.nativeOrder()).getInt(PID_OFFSET);
            taken = known && child.add(name(bytes), channel, pid);
        } catch (IOException e) {
            LOG.debug("a forked QEMU did not introduce itself: {}", e.getMessage());
        } finally {
            if (!taken) {
                closeQuietly(channel);
                reap(pid);
            }
        }
    }

    /** A child that nobody takes ends when its connection does; nobody else may know that there is anything to reap. */
    private static void reap(long pid) {
        try {
            for (int i = 0; pid > 1 && i < REAP_ATTEMPTS && Linux.reap(pid) == Linux.Reaped.RUNS; i++) {
                Thread.sleep(REAP_EVERY);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
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
