package dev.cube.envd.interpreter;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;

/** Whatever a guest sends in its kernel's place, the client gets well-formed lines of ASCII, or the guest is refused. */
class KernelEventFuzzTest {
    private static final JsonMapper JSON = new JsonMapper();

    @FuzzTest
    void eventsBecomeLinesOrAreRefused(byte[] data) throws IOException {
        var lines = new LineBuffer(1 << 16);
        try {
            lines.add(data);
            for (byte[] line = lines.poll(); line != null; line = lines.poll()) {
                switch (KernelEvent.parse(line)) {
                    case KernelEvent.Text text -> check(ClientEvents.text(text, Instant.EPOCH));
                    case KernelEvent.Result result -> check(ClientEvents.result(result));
                    case KernelEvent.Failure(String name, String value, String traceback) ->
                            check(ClientEvents.error(name, value, traceback));
                    case KernelEvent.Begin begin -> check(ClientEvents.executions(begin.count()));
                    case KernelEvent.Ready _, KernelEvent.Fatal _, KernelEvent.End _ -> { }
                }
            }
        } catch (KernelException refused) {
            // as it should be
        }
    }

    private static void check(byte[] line) throws IOException {
        String text = new String(line, StandardCharsets.ISO_8859_1);
        assertThat(text.chars()).allMatch(character -> character == '\n' || character >= 0x20 && character < 0x7f);
        assertThat(text.indexOf('\n')).isEqualTo(text.length() - 1);
        assertThat(JSON.readTree(line)).isInstanceOf(ObjectNode.class);
    }
}
