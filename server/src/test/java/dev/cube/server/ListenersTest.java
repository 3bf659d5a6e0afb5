package dev.cube.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.http.HttpServers;
import dev.cube.http.RequestBody;
import io.vertx.core.Vertx;
import io.vertx.ext.web.Router;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

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
        try (var again = new ServerSocket(listeners.port(), 1, InetAddress.getByName("127.0.0.1"))) {
            assertThat(again.isBound()).isTrue();
        }
    }

    @Test
    void portInUseNamesTheFix() throws Exception {
        try (var taken = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.2"))) {
            assertThatThrownBy(() -> open(List.of("127.0.0.1", "127.0.0.2"), taken.getLocalPort()))
                    .isInstanceOf(StartupException.class)
                    .hasMessage("port %d at 127.0.0.2 is in use: stop what uses it, or name another with --api-port or "
                            + "CUBE_API_PORT", taken.getLocalPort());
            try (var free = new ServerSocket(taken.getLocalPort(), 1, InetAddress.getByName("127.0.0.1"))) {
                assertThat(free.isBound()).as("nothing is left listening").isTrue();
            }
        }
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
