package dev.cube.envd.interpreter;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import org.junit.jupiter.api.Test;

class ClientEventsTest {
    @Test
    void textIsAsciiWithATimestampThatPythonReads() {
        byte[] line = ClientEvents.text(new KernelEvent.Text(false, "h\u00e9 \ud83d\ude00 \ud800\n"),
                Instant.parse("2024-02-03T04:05:06.007Z"));
        assertThat(string(line)).isEqualTo("{\"type\":\"stdout\",\"text\":\"h\\u00E9 \\uD83D\\uDE00 \\uD800\\n\","
                + "\"timestamp\":\"2024-02-03T04:05:06.007000+00:00\"}\n");
    }

    @Test
    void mimeTypesBecomeFields() throws Exception {
        var data = (ObjectNode) new JsonMapper().readTree("""
                {"image/png": "aQ==", "text/plain": "'quoted'", "text/html": "<b>", "application/json": [1],
                 "e2b/data": {"a": [1]}, "e2b/chart": {"type": "line"}, "x/y": "z", "text/latex": null}""");
        assertThat(string(ClientEvents.result(new KernelEvent.Result(true, data)))).isEqualTo(
                "{\"type\":\"result\",\"text\":\"quoted\",\"html\":\"<b>\",\"png\":\"aQ==\",\"json\":[1],"
                + "\"data\":{\"a\":[1]},\"chart\":{\"type\":\"line\"},\"extra\":{\"x/y\":\"z\"},\"is_main_result\":true}\n");
    }

    private static String string(byte[] line) {
        return new String(line, StandardCharsets.US_ASCII);
    }
}
