package dev.cube.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.http.BlockingHandler;
import dev.cube.http.HttpServers;
import dev.cube.http.RequestBody;
import dev.cube.http.Responses;
import dev.cube.server.tls.LocalAuthority;
import dev.cube.server.tls.TlsFiles;
import io.vertx.core.Vertx;
import io.vertx.ext.web.Router;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.List;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ListenersTest {
    private final Vertx vertx = Vertx.vertx();

    @AfterEach
    void close() {
        RequestBody.await(vertx.close());
    }

    private Listeners open(List<String> hosts, int port) {
        return Listeners.open(vertx, HttpServers.plain(), Router.router(vertx), new Endpoint(hosts, port), "api");
    }

    @Test
    void listensAtAllAddressesOnOnePort() throws Exception {
        Listeners listeners = open(List.of("127.0.0.1", "127.0.0.2"), 0);

        for (String host : List.of("127.0.0.1", "127.0.0.2")) {
            try (var socket = new Socket(host, listeners.port())) {
                assertThat(socket.isConnected()).isTrue();
            }
        }
        listeners.close();
        for (String host : List.of("127.0.0.1", "127.0.0.2")) {
            assertNothingListens(host, listeners.port());
        }
    }

    @ParameterizedTest
    @EnumSource(HttpClient.Version.class)
    void speaksTlsWithTheLocalAuthoritysCertificate(HttpClient.Version version, @TempDir Path directory)
            throws Exception {
        TlsFiles tls = new LocalAuthority(directory).issue("cube.localhost");
        Router router = Router.router(vertx);
        router.get("/").handler(BlockingHandler.of(context -> Responses.empty(context, 204)));
        Listeners listeners = Listeners.open(vertx, HttpServers.tls(tls.certificate(), tls.key()), router,
                new Endpoint(List.of("127.0.0.1"), 0), "proxy");

        try (HttpClient client = HttpClient.newBuilder().version(version).sslContext(trusting(tls.authority())).build()) {
            HttpResponse<Void> response = client.send(
                    HttpRequest.newBuilder(URI.create("https://127.0.0.1:" + listeners.port())).build(),
                    HttpResponse.BodyHandlers.discarding());
            assertThat(response.statusCode()).isEqualTo(204);
            assertThat(response.version()).isEqualTo(version);
        }
    }

    private static SSLContext trusting(Path authority) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream pem = Files.newInputStream(authority)) {
            store.setCertificateEntry("local",
                    CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    @Test
    void portInUseNamesTheFix() throws Exception {
        try (var taken = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.2"))) {
            assertThatThrownBy(() -> open(List.of("127.0.0.1", "127.0.0.2"), taken.getLocalPort()))
                    .isInstanceOf(StartupException.class)
                    .hasMessage("port %d at 127.0.0.2 is in use: stop what uses it, or name another with --api-port or "
                            + "CUBE_API_PORT", taken.getLocalPort());
            assertNothingListens("127.0.0.1", taken.getLocalPort());
        }
    }

    private static void assertNothingListens(String host, int port) {
        Awaitility.await().untilAsserted(() ->
                assertThatThrownBy(() -> new Socket(host, port).close()).isInstanceOf(ConnectException.class));
    }

    @Test
    void addressesThatTheMachineLacksAreLeftOutUnlessThereIsNoOther() {
        assertThat(open(List.of("127.0.0.1", "192.0.2.1"), 0).port()).isPositive();
        assertThat(open(List.of("192.0.2.1", "127.0.0.1"), 0).port()).isPositive();
        assertThatThrownBy(() -> open(List.of("192.0.2.1"), 0)).isInstanceOf(StartupException.class)
                .hasMessageContaining("cannot listen at 192.0.2.1").hasMessageContaining("--api-host");
    }

    @Test
    void loopbackIsToldFromTheRest() {
        assertThat(new Endpoint(List.of("127.0.0.1", "::1", "localhost"), 0).isLoopback()).isTrue();
        assertThat(new Endpoint(List.of("127.0.0.1", "0.0.0.0"), 0).isLoopback()).isFalse();
        assertThat(new Endpoint(List.of("127.0.0.1.example.com"), 0).isLoopback()).isFalse();
        assertThat(new Endpoint(List.of("::"), 0).isLoopback()).isFalse();
        assertThat(new Endpoint(List.of("::"), 0).urlHost()).isEqualTo("[::1]");
        assertThat(new Endpoint(List.of("0.0.0.0"), 0).urlHost()).isEqualTo("127.0.0.1");
        assertThat(new Endpoint(List.of("fd00::2"), 0).urlHost()).isEqualTo("[fd00::2]");
    }
}
