package dev.cube.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.api.ApiFixture.Answer;
import dev.cube.master.SandboxLogs.Level;
import dev.cube.master.SandboxLogs.Query;
import java.time.Instant;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LogRoutesTest {
    private static final String ENTRY = """
            {"timestamp":"2026-01-02T03:04:05.678Z","level":"warn","message":"it \\"ends\\"",
             "fields":{"logger":"system","reason":"x"}}""";

    private final ApiFixture api = new ApiFixture(false);

    @AfterEach
    void close() {
        api.close();
    }

    @Test
    void givesLinesThatAreJsonAndEntries() throws Exception {
        Answer answer = api.get("/sandboxes/sb1/logs?start=100&limit=7");

        assertThat(answer.status()).isEqualTo(200);
        assertThat(answer.body().path("logEntries")).isEqualTo(api.tree("[" + ENTRY + "]"));
        assertThat(answer.body().path("logs").path(0).path("timestamp").asText()).isEqualTo("2026-01-02T03:04:05.678Z");
        assertThat(api.tree(answer.body().path("logs").path(0).path("line").asText())).isEqualTo(api.tree(
                "{\"level\":\"warn\",\"logger\":\"system\",\"message\":\"it \\\"ends\\\"\",\"reason\":\"x\"}"));
        assertThat(api.logs.queries).containsExactly(new Query(Optional.of(Instant.ofEpochMilli(100)),
                Optional.empty(), 7, false, Level.DEBUG, Optional.empty()));
        assertThat(api.get("/sandboxes/none/logs").status()).isEqualTo(404);
    }

    @Test
    void secondVersionReadsBackwardUnlessAskedOtherwise() throws Exception {
        Answer answer = api.get("/v2/sandboxes/sb1/logs?cursor=100");
        api.get("/v2/sandboxes/sb1/logs?cursor=100&direction=forward&level=error&search=a%20b&limit=0");

        assertThat(answer.body()).isEqualTo(api.tree("{\"logs\":[" + ENTRY + "]}"));
        Optional<Instant> cursor = Optional.of(Instant.ofEpochMilli(100));
        assertThat(api.logs.queries).containsExactly(
                new Query(Optional.empty(), cursor, 1000, true, Level.DEBUG, Optional.empty()),
                new Query(cursor, Optional.empty(), 0, false, Level.ERROR, Optional.of("a b")));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "sandboxes/sb1/logs?start=x          | parameter 'start' must be a time in milliseconds since 1970",
        "sandboxes/sb1/logs?limit=-1         | parameter 'limit' must be a number from 0 to 2147483647",
        "v2/sandboxes/sb1/logs?cursor=-1     | parameter 'cursor' must be a time in milliseconds since 1970",
        "v2/sandboxes/sb1/logs?limit=1001    | parameter 'limit' must be a number from 0 to 1000",
        "v2/sandboxes/sb1/logs?direction=up  | parameter 'direction' must be forward or backward",
        "v2/sandboxes/sb1/logs?level=fatal   | parameter 'level' must be debug, info, warn or error"})
    void namesTheParameterThatIsWrong(String path, String message) {
        Answer answer = api.get("/" + path);

        assertThat(answer.status()).isEqualTo(400);
        assertThat(answer.message()).isEqualTo(message);
    }

    @Test
    void searchesForNoLongTexts() {
        assertThat(api.get("/v2/sandboxes/sb1/logs?search=" + "x".repeat(257)).message())
                .isEqualTo("parameter 'search' must have at most 256 characters");
    }
}
