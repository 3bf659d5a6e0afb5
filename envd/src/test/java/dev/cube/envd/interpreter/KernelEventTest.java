package dev.cube.envd.interpreter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KernelEventTest {
    @Test
    void eventsAreRead() {
        assertThat(parse("{\"type\":\"ready\"}")).isEqualTo(new KernelEvent.Ready());
        assertThat(parse("{\"type\":\"begin\",\"id\":\"a\",\"count\":3}")).isEqualTo(new KernelEvent.Begin("a", 3));
        assertThat(parse("{\"type\":\"stderr\",\"text\":\"t\"}")).isEqualTo(new KernelEvent.Text(true, "t"));
        assertThat(parse("{\"type\":\"error\",\"name\":\"n\",\"value\":\"v\",\"traceback\":\"t\"}"))
                .isEqualTo(new KernelEvent.Failure("n", "v", "t"));
        assertThat(parse("{\"type\":\"end\",\"id\":\"a\"}")).isEqualTo(new KernelEvent.End("a"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", " ", "null", "[]", "1", "{", "{}", "{\"type\":1}", "{\"type\":\"other\"}",
            "{\"type\":\"stdout\"}", "{\"type\":\"stdout\",\"text\":null}", "{\"type\":\"result\",\"data\":[]}",
            "{\"type\":\"ready\"} {}", "{\"type\":\"stdout\",\"text\":\"\u0001\"}", "text", "{\"type\":\"end\",\"id\":NaN}"})
    void anythingElseIsRefused(String line) {
        assertThatThrownBy(() -> parse(line)).isInstanceOf(KernelException.class);
    }

    @Test
    void whatIsNestedTooDeepIsReplacedByAText() {
        String deep = "{\"type\":\"result\",\"data\":{\"a\":" + "[".repeat(2000) + "]".repeat(2000) + "}}";
        assertThat(parse(deep)).isInstanceOfSatisfying(KernelEvent.Text.class, text -> {
            assertThat(text.error()).isTrue();
            assertThat(text.text()).startsWith("[left out: ");
        });
    }

    private static KernelEvent parse(String line) {
        return KernelEvent.parse(line.getBytes(StandardCharsets.UTF_8));
    }
}
