package dev.cube.sdk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the client puts on the wire and makes of answers. The real server is met by the tests in {@code e2e/}. */
class CubeClientTest {
    private HttpServer server;
    private CubeClient client;
    private final List<String> requests = new ArrayList<>();

    @BeforeEach
    void start() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.start();
        client = new CubeClient(new CubeConfig(URI.create("http://127.0.0.1:" + server.getAddress().getPort()), "key-1",
                "cube.localhost:8443", Optional.empty(), Optional.empty(), Duration.ofSeconds(10)));
    }

    @AfterEach
    void stop() {
        client.close();
        server.stop(0);
    }

    @Test
    void asksForEveryPage() {
        server.createContext("/v2/sandboxes", exchange -> {
            boolean first = !exchange.getRequestURI().getRawQuery().contains("nextToken");
            if (first) {
                exchange.getResponseHeaders().add("X-Next-Token", "a+b");
            }
            answer(exchange, 200, "[{\"sandboxID\":\"%s\",\"startedAt\":\"2026-01-02T03:04:05.678Z\",\"new\":1}]"
                    .formatted(first ? "one" : "two"));
        });
        assertThat(client.list(Map.of("user", "a&b c"))).extracting(SandboxInfo::id).containsExactly("one", "two");
        assertThat(requests).containsExactly(
                "GET /v2/sandboxes?limit=100&metadata=user%3Da%252526b%252520c key-1",
                "GET /v2/sandboxes?limit=100&metadata=user%3Da%252526b%252520c&nextToken=a%2Bb key-1");
    }

    @Test
    void reportsTheServersOwnMessage() {
        server.createContext("/sandboxes/gone",
                exchange -> answer(exchange, 404, "{\"code\":404,\"message\":\"there is no sandbox 'gone'\"}"));
        assertThatThrownBy(() -> client.get("gone"))
                .isInstanceOfSatisfying(CubeException.class, e -> assertThat(e.isNotFound()).isTrue())
                .hasMessage("there is no sandbox 'gone'");
    }

    @Test
    void reportsAnAnswerThatIsNotJson() {
        server.createContext("/cube/info", exchange -> answer(exchange, 502, "<html>bad gateway</html>"));
        assertThatThrownBy(() -> client.serverInfo())
                .isInstanceOfSatisfying(CubeException.class, e -> assertThat(e.status()).isEqualTo(502))
                .hasMessageContaining("bad gateway");
    }

    @Test
    void saysHowToStartAServerThatIsNotThere() {
        server.stop(0);
        assertThatThrownBy(() -> client.list()).isInstanceOf(CubeException.class).hasMessageContaining("./cube up");
    }

    @Test
    void followsAJobUntilItEnds() {
        server.createContext("/cube/templates/t/log", exchange -> answer(exchange, 200,
                switch (exchange.getRequestURI().getQuery()) {
                    case "offset=0" -> "{\"lines\":[\"one\"],\"nextOffset\":1,\"state\":\"BUILDING\"}";
                    case "offset=1" -> "{\"lines\":[\"two\"],\"nextOffset\":2,\"state\":\"READY\"}";
                    default -> "{\"lines\":[],\"nextOffset\":2,\"state\":\"READY\"}";
                }));
        server.createContext("/cube/templates/t", exchange -> answer(exchange, 200,
                "{\"templateID\":\"t\",\"state\":\"READY\"}"));
        List<String> lines = new ArrayList<>();
        assertThat(client.templates().watch("t", lines::add).isReady()).isTrue();
        assertThat(lines).containsExactly("one", "two");
    }

    private void answer(HttpExchange exchange, int status, String body) throws IOException {
        requests.add(exchange.getRequestMethod() + " " + exchange.getRequestURI() + " "
                + exchange.getRequestHeaders().getFirst("X-API-KEY"));
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }
}
