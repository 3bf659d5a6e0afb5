package dev.cube.hypervisor;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.function.BooleanSupplier;

/** Connects to sockets of a process that is only just starting. */
final class UnixConnection {
    private static final long RETRY_MILLIS = 2;

    private UnixConnection() {}

    /** Waits until the socket is there, as long as {@code alive} says that it may still come. */
    static SocketChannel open(Path socket, Duration timeout, BooleanSupplier alive) throws IOException {
        long deadline = System.nanoTime() + timeout.toNanos();
        while (true) {
            SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            try {
                channel.connect(UnixDomainSocketAddress.of(socket));
                return channel;
            } catch (IOException e) {
                channel.close();
                if (!alive.getAsBoolean() || System.nanoTime() > deadline) {
                    throw new IOException("no connection to " + socket + ": " + e.getMessage(), e);
                }
            }
            try {
                Thread.sleep(RETRY_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted while connecting to " + socket, e);
            }
        }
    }
}
