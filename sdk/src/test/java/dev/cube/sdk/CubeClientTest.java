package dev.cube.sdk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.sdk.RecordedServer.Answer;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the client puts on the wire and makes of answers. The real server is met by the tests in {@code e2e/}. */
class CubeClientTest {
    private RecordedServer server;
    private CubeClient client;

    @BeforeEach
    void start() throws IOException {
        server = new RecordedServer();
        client = server.client();
    }

    @AfterEach
    void stop() {
        client.close();
        server.close();
    }

    @Test
    void asksForEveryPage() {
        server.on("/v2/sandboxes", exchange -> {
            boolean first = !exchange.getRequestURI().getRawQuery().contains("nextToken");
            return new Answer(200, "[{\"sandboxID\":\"%s\",\"startedAt\":\"2026-01-02T03:04:05.678Z\",\"new\":1}]"
                    .formatted(first ? "one" : "two"), first ? Map.of("X-Next-Token", "a+b") : Map.of());
        });
        assertThat(client.list(Map.of("user", "a&b c"))).extracting(SandboxInfo::id).containsExactly("one", "two");
        assertThat(server.requests()).containsExactly(
                "GET /v2/sandboxes?limit=100&metadata=user%3Da%252526b%252520c",
                "GET /v2/sandboxes?limit=100&metadata=user%3Da%252526b%252520c&nextToken=a%2Bb");
    }

    @Test
    void reportsTheServersOwnMessage() {
        server.on("/sandboxes/gone", 404, "{\"code\":404,\"message\":\"there is no sandbox 'gone'\"}");
        assertThatThrownBy(() -> client.get("gone"))
                .isInstanceOfSatisfying(CubeException.class, e -> assertThat(e.isNotFound()).isTrue())
                .hasMessage("there is no sandbox 'gone'");
    }

    @Test
    void reportsAnAnswerThatIsNotJson() {
        server.on("/cube/info", 502, "<html>bad gateway</html>");
        assertThatThrownBy(() -> client.serverInfo())
                .isInstanceOfSatisfying(CubeException.class, e -> assertThat(e.status()).isEqualTo(502))
                .hasMessageContaining("bad gateway");
    }

    @Test
    void saysHowToStartAServerThatIsNotThere() {
        server.close();
        assertThatThrownBy(() -> client.list()).isInstanceOf(CubeException.class).hasMessageContaining("./cube up");
    }

    @Test
    void followsAJobUntilItEnds() {
        server.on("/cube/templates/t/log", exchange -> Answer.of(200, switch (exchange.getRequestURI().getQuery()) {
            case "offset=0" -> "{\"lines\":[\"one\"],\"nextOffset\":1,\"state\":\"BUILDING\"}";
            case "offset=1" -> "{\"lines\":[\"two\"],\"nextOffset\":2,\"state\":\"READY\"}";
            default -> "{\"lines\":[],\"nextOffset\":2,\"state\":\"READY\"}";
        }));
        server.on("/cube/templates/t", 200, "{\"templateID\":\"t\",\"state\":\"READY\"}");
        List<String> lines = new ArrayList<>();
        assertThat(client.templates().watch("t", lines::add).isReady()).isTrue();
        assertThat(lines).containsExactly("one", "two");
    }

    @Test
    void saysAtCreationWhatHappensAtTheTimeout() {
        server.on("/sandboxes", 201, "{\"sandboxID\":\"s\"}");
        SandboxOptions options = SandboxOptions.of("base").withTimeout(Duration.ofSeconds(30));
        client.create(options);
        client.create(options.withOnTimeout(SandboxOptions.OnTimeout.PAUSE));
        client.create(options.withOnTimeout(SandboxOptions.OnTimeout.PAUSE_AND_RESUME_ON_REQUEST));
        client.create(options.withOnTimeout(SandboxOptions.OnTimeout.PAUSE_WITHOUT_MEMORY));
        assertThat(server.requests()).satisfiesExactly(
                kill -> assertThat(kill).doesNotContain("auto"),
                pause -> assertThat(pause).contains("\"autoPause\":true,\"autoResume\":{\"enabled\":false}"),
                resume -> assertThat(resume).contains("\"autoPause\":true,\"autoResume\":{\"enabled\":true}"),
                withoutMemory -> assertThat(withoutMemory).contains(
                        "\"autoResume\":{\"enabled\":false},\"autoPauseMemory\":false"));
    }
}
