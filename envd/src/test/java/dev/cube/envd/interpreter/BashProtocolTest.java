package dev.cube.envd.interpreter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.code_intelligence.jazzer.junit.FuzzTest;
import dev.cube.guest.ProcessEvent.Stream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class BashProtocolTest {
    private final BashProtocol protocol = new BashProtocol();

    @Test
    void requestIsThreeLinesWhateverTheCodeHolds() {
        byte[] request = protocol.execute("ab", "echo 'a\\'\n\0b", Map.of("A", "x\ny"));
        assertThat(new String(request, StandardCharsets.UTF_8)).isEqualTo("""
                __cube_begin ab $'A' $'x\\ny'
                eval $'echo \\'a\\\\\\'\\nb' </dev/null
                __cube_end ab $?
                """);
    }

    @Test
    void executionBeginsAndEndsWhenBothStreamsSaySo() {
        protocol.execute("ab", "", Map.of());
        out("left over\u001ecube:ab:begin:7\nfirst");
        assertThat(events()).containsExactly(new KernelEvent.Text(false, "left over"));
        err("old\u001ecube:ab:begin:7\nfailed\u001ecube:ab:end:3\n");
        assertThat(events()).containsExactly(new KernelEvent.Text(true, "old"), new KernelEvent.Begin("ab", 7),
                new KernelEvent.Text(false, "first"), new KernelEvent.Text(true, "failed"));
        out("last\u001ecube:ab:end:3\n");
        assertThat(events()).containsExactly(new KernelEvent.Text(false, "last"), new KernelEvent.Failure("", "3", ""),
                new KernelEvent.End("ab"));
    }

    @Test
    void othersMarksAreText() {
        protocol.execute("ab", "", Map.of());
        String text = "\u001ecube:cd:begin:1\n\u001e\u001ecube:ab:begin:x\n\u001e" + "x".repeat(200) + "\n";
        out(text);
        var said = new StringBuilder();
        events().forEach(event -> said.append(((KernelEvent.Text) event).text()));
        assertThat(said).hasToString(text);
    }

    @Test
    void eventsComeInOrderWithWhatIsPrinted() {
        protocol.execute("ab", "", Map.of());
        err("\u001ecube:ab:begin:1\n");
        out("\u001ecube:ab:begin:1\nbefore\u001ecube:ab:event:{\"type\":\"error\",\"name\":\"" + "n".repeat(200)
                + "\",\"value\":\"v\",\"traceback\":\"t\"}\nafter\n");
        assertThat(events()).containsExactly(new KernelEvent.Begin("ab", 1), new KernelEvent.Text(false, "before"),
                new KernelEvent.Failure("n".repeat(200), "v", "t"), new KernelEvent.Text(false, "after\n"));
        err("\u001ecube:ab:event:{}\n");
        assertThat(events()).containsExactly(new KernelEvent.Text(true, "\u001ecube:ab:event:{}\n"));
        assertThatThrownBy(() -> out("\u001ecube:ab:event:{\"type\":\"ready\"}\n")).isInstanceOf(KernelException.class);
    }

    @Test
    void requestsToRAreLines() {
        byte[] request = new RProtocol().execute("ab", "a\\n\nb\r\n\0c", Map.of("A", "x\ny"));
        assertThat(new String(request, StandardCharsets.UTF_8)).isEqualTo("execute ab 1\nA\nx\\ny\na\\\\n\\nb\\nc\n");
    }

    @Test
    void oneStreamAloneIsNotReadForEver() {
        protocol.execute("ab", "", Map.of());
        out("\u001ecube:ab:begin:1\n");
        assertThatThrownBy(() -> {
            for (int i = 0; i < 10_000; i++) {
                out("x");
            }
        }).isInstanceOf(KernelException.class);
    }

    /** Whatever comes, however it is cut, is text and events, and no text is lost. */
    @FuzzTest
    void anythingIsTextOrMarks(byte[] data) {
        var whole = new BashProtocol();
        var cut = new BashProtocol();
        whole.execute("ab", "", Map.of());
        cut.execute("ab", "", Map.of());
        whole.add(Stream.STDOUT, data);
        for (byte one : data) {
            try {
                cut.add(Stream.STDOUT, new byte[] {one});
            } catch (KernelException refused) {
                return; // more pieces than are held
            }
        }
        assertThat(text(cut)).isEqualTo(text(whole));
    }

    private static String text(BashProtocol protocol) {
        var all = new StringBuilder();
        for (KernelEvent event = protocol.poll(); event != null; event = protocol.poll()) {
            all.append(event instanceof KernelEvent.Text text ? text.text() : "|" + event + "|");
        }
        return all.toString();
    }

    private void out(String text) {
        protocol.add(Stream.STDOUT, text.getBytes(StandardCharsets.UTF_8));
    }

    private void err(String text) {
        protocol.add(Stream.STDERR, text.getBytes(StandardCharsets.UTF_8));
    }

    private List<KernelEvent> events() {
        var events = new ArrayList<KernelEvent>();
        for (KernelEvent event = protocol.poll(); event != null; event = protocol.poll()) {
            events.add(event);
        }
        return events;
    }
}
