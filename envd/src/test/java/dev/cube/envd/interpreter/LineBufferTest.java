package dev.cube.envd.interpreter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class LineBufferTest {
    private final LineBuffer lines = new LineBuffer(10_000);

    @Test
    void linesAreCutWhereverTheChunksEnd() {
        String all = "a\n\nbc\n" + "d".repeat(9_999) + "\nrest";
        for (int size = 1; size < 12; size++) {
            var cut = new LineBuffer(10_000);
            var found = new StringBuilder();
            for (int at = 0; at < all.length(); at += size) {
                cut.add(bytes(all.substring(at, Math.min(all.length(), at + size))));
                for (byte[] line = cut.poll(); line != null; line = cut.poll()) {
                    found.append(new String(line, StandardCharsets.UTF_8)).append('\n');
                }
            }
            assertThat(found.toString()).isEqualTo(all.substring(0, all.length() - 4));
        }
    }

    @Test
    void lineOfTheLimitIsTaken() {
        lines.add(bytes("x".repeat(10_000)));
        assertThat(lines.isEmpty()).isTrue();
        lines.add(bytes("\n"));
        assertThat(lines.isEmpty()).isFalse();
        assertThat(lines.poll()).hasSize(10_000);
    }

    @Test
    void longerLineIsRefused() {
        lines.add(bytes("x".repeat(10_000)));
        assertThatThrownBy(() -> lines.add(bytes("x"))).isInstanceOf(KernelException.class);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
