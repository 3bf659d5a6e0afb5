package dev.cube.proxy;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.reflect.Proxy;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;

/** A guest whose ports are this machine's, and which can do nothing else. */
final class LoopbackGuest {
    final Set<Socket> open = ConcurrentHashMap.newKeySet();
    /** Connections that were refused. */
    final AtomicInteger refused = new AtomicInteger();
    /** Is told how many, after each. */
    volatile IntConsumer onRefused = count -> {};

    GuestAgent agent() {
        return (GuestAgent) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {GuestAgent.class},
                (self, method, args) -> switch (method.getName()) {
                    case "connect" -> connect((Integer) args[0]);
                    case "equals" -> self == args[0];
                    case "hashCode" -> System.identityHashCode(self);
                    default -> throw new UnsupportedOperationException(method.getName());
                });
    }

    private GuestStream connect(int port) {
        try {
            var socket = new Socket(InetAddress.getLoopbackAddress(), port);
            open.add(socket);
            return new Stream(socket);
        } catch (ConnectException e) {
            onRefused.accept(refused.incrementAndGet());
            throw new GuestException(GuestException.Kind.CONNECTION_REFUSED, "connection refused");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private final class Stream implements GuestStream {
        private final Socket socket;

        Stream(Socket socket) {
            this.socket = socket;
        }

        @Override
        public InputStream input() {
            try {
                return socket.getInputStream();
            } catch (IOException e) {
                return InputStream.nullInputStream();
            }
        }

        @Override
        public OutputStream output() {
            try {
                OutputStream output = socket.getOutputStream();
                return new OutputStream() {
                    @Override
                    public void write(int value) throws IOException {
                        output.write(value);
                    }

                    @Override
                    public void write(byte[] data, int offset, int length) throws IOException {
                        output.write(data, offset, length);
                    }

                    @Override
                    public void close() throws IOException {
                        socket.shutdownOutput();
                    }
                };
            } catch (IOException e) {
                return OutputStream.nullOutputStream();
            }
        }

        @Override
        public void close() {
            try {
                socket.close();
                open.remove(socket);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
