package dev.cube.proxy;

import dev.cube.guest.GuestStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.net.SocketImpl;
import java.security.GeneralSecurityException;
import java.security.cert.X509Certificate;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * TLS to a service in the guest. Its certificate is not checked: the agent's channel leads to that guest and to no
 * other, and services there have certificates that they made themselves.
 */
final class TlsStream implements GuestStream {
    private static final SSLSocketFactory SOCKETS = sockets();

    private final GuestStream plain;
    private final SSLSocket tls;

    private TlsStream(GuestStream plain, SSLSocket tls) {
        this.plain = plain;
        this.tls = tls;
    }

    /**
     * Shakes hands; blocks until the service has answered or {@code plain} is closed.
     *
     * @param protocol what is going to be spoken, as ALPN names it
     * @throws IOException if the service does not speak TLS, or no version of it that is known here
     */
    static TlsStream over(GuestStream plain, String protocol) throws IOException {
        var tls = (SSLSocket) SOCKETS.createSocket(new Transport(plain), null, -1, true);
        SSLParameters parameters = tls.getSSLParameters();
        parameters.setApplicationProtocols(new String[] {protocol});
        tls.setSSLParameters(parameters);
        tls.startHandshake();
        return new TlsStream(plain, tls);
    }

    private static SSLSocketFactory sockets() {
        try {
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, new TrustManager[] {new Anybody()}, null);
            return context.getSocketFactory();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("the JVM has no TLS", e);
        }
    }

    @Override
    public InputStream input() {
        try {
            return tls.getInputStream();
        } catch (IOException e) {
            return InputStream.nullInputStream();
        }
    }

    @Override
    public OutputStream output() {
        try {
            OutputStream output = tls.getOutputStream();
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
                public void flush() throws IOException {
                    output.flush();
                }

                @Override
                public void close() throws IOException {
                    tls.shutdownOutput();
                }
            };
        } catch (IOException e) {
            return OutputStream.nullOutputStream();
        }
    }

    @Override
    public void close() {
        plain.close();
    }

    /** What an SSLSocket takes for the connection that it is layered over. */
    private static final class Transport extends Socket {
        private final GuestStream stream;

        Transport(GuestStream stream) throws IOException {
            super((SocketImpl) null);
            this.stream = stream;
        }

        @Override
        public boolean isConnected() {
            return true;
        }

        @Override
        public InputStream getInputStream() {
            return stream.input();
        }

        @Override
        public OutputStream getOutputStream() {
            return stream.output();
        }

        @Override
        public void shutdownOutput() throws IOException {
            stream.output().close();
        }

        @Override
        public void close() {
            stream.close();
        }
    }

    /** The extended kind: others are wrapped in checks of the certificate's algorithms. */
    private static final class Anybody extends X509ExtendedTrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
