package dev.cube.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.api.ApiFixture.Answer;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ServerRoutesTest {
    @Test
    void anyKeyOrNoneOpensALoopbackServer() throws Exception {
        try (var api = new ApiFixture(false)) {
            assertThat(api.get("/health").status()).isEqualTo(204);
            assertThat(api.get("/cube/info").body()).isEqualTo(api.tree("""
                    {"version":"1.2.3","accelerator":"tcg","domain":"cube.localhost:8443","envdVersion":"0.5.7",
                     "apiKeyRequired":false,"sandboxes":0,"templates":0}"""));
            assertThat(api.call("GET", "/sandboxes", null, "X-API-KEY", "whatever").status()).isEqualTo(200);
            assertThat(api.get("/metrics").response().body()).isEqualTo("up 1\n");
        }
    }

    @Test
    void keysAreRequiredOtherwise() {
        try (var api = new ApiFixture(true)) {
            String key = api.keys.create("test").key();

            assertThat(api.get("/health").status()).isEqualTo(204);
            for (String path : new String[] {"/sandboxes", "/cube/info", "/metrics", "/templates/x"}) {
                Answer refused = api.get(path);
                assertThat(refused.status()).isEqualTo(401);
                assertThat(refused.body().path("code").asInt()).isEqualTo(401);
            }
            assertThat(api.call("GET", "/sandboxes", null, "X-API-Key", "wrong").status()).isEqualTo(401);
            assertThat(api.call("GET", "/sandboxes", null, "X-API-Key", key).status()).isEqualTo(200);
            assertThat(api.call("GET", "/sandboxes", null, "Authorization", "Bearer " + key).status()).isEqualTo(200);
            assertThat(api.call("GET", "/metrics", null, "Authorization", "bearer " + key).status()).isEqualTo(200);
        }
    }

    @Test
    void keysAreMadeAndDeleted() throws Exception {
        try (var api = new ApiFixture(false)) {
            Answer made = api.post("/cube/apikeys", "{\"name\":\"laptop\"}");

            assertThat(made.status()).isEqualTo(201);
            assertThat(made.body()).isEqualTo(
                    api.tree("{\"id\":\"k0\",\"name\":\"laptop\",\"key\":\"cube_0_secret\"}"));
            assertThat(api.get("/cube/apikeys").body()).isEqualTo(api.tree("""
                    [{"id":"k0","name":"laptop","hint":"cube_","createdAt":"2026-01-02T03:04:05.678Z"}]"""));
            assertThat(api.post("/cube/apikeys", "{}").message()).isEqualTo("field 'name' is required");
            assertThat(api.call("DELETE", "/cube/apikeys/k0", null).status()).isEqualTo(204);
            assertThat(api.call("DELETE", "/cube/apikeys/k0", null).status()).isEqualTo(404);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"Host: evil.example", "Host: 127.0.0.1\r\nOrigin: https://evil.example",
        "Host: 127.0.0.1\r\nOrigin: null", "Host: 127.0.0.1.evil.example"})
    void openServerRefusesWebPages(String headers) throws IOException {
        try (var api = new ApiFixture(false)) {
            assertThat(raw(api.port(), headers)).startsWith("HTTP/1.1 403 ");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"Host: 127.0.0.1:3000", "Host: localhost", "Host: [::1]:3000", "Host: api.cube.localhost",
        "Host: localhost\r\nOrigin: http://localhost:8080"})
    void openServerTakesLocalNames(String headers) throws IOException {
        try (var api = new ApiFixture(false)) {
            assertThat(raw(api.port(), headers)).startsWith("HTTP/1.1 200 ");
        }
    }

    private static String raw(int port, String headers) throws IOException {
        try (var socket = new Socket("127.0.0.1", port)) {
            socket.getOutputStream().write(("GET /sandboxes HTTP/1.1\r\nConnection: close\r\n" + headers + "\r\n\r\n")
                    .getBytes(StandardCharsets.US_ASCII));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
        }
    }

    @Test
    void shutdownSaysWhatBecomesOfSandboxes() {
        try (var api = new ApiFixture(false)) {
            assertThat(api.post("/cube/shutdown?sandboxes=maybe", "").status()).isEqualTo(400);
            assertThat(api.post("/cube/shutdown", "").status()).isEqualTo(202);
            assertThat(api.post("/cube/shutdown?sandboxes=kill", "").status()).isEqualTo(202);

            assertThat(api.shutdowns).containsExactly(false, true);
        }
    }

    @Test
    void unknownRoutesHaveTheErrorShape() {
        try (var api = new ApiFixture(false)) {
            assertThat(api.get("/nope").body().path("code").asInt()).isEqualTo(404);
            assertThat(api.call("PUT", "/sandboxes", "{}").body().path("code").asInt()).isEqualTo(405);
        }
    }
}
