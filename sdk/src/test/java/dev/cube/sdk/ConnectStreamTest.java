package dev.cube.sdk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class ConnectStreamTest {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    @Test
    void givesMessagesUntilTheEnd() {
        add(0, "{\"n\":1}");
        add(0, "{\"n\":2}");
        add(2, "{}");
        ConnectStream stream = stream();
        assertThat(stream.next().orElseThrow().path("n").asInt()).isEqualTo(1);
        assertThat(stream.next().orElseThrow().path("n").asInt()).isEqualTo(2);
        assertThat(stream.next()).isEmpty();
    }

    @Test
    void endsWithTheErrorThatTheLastMessageCarries() {
        add(2, "{\"error\":{\"code\":\"not_found\",\"message\":\"no process 7\"}}");
        assertThatThrownBy(() -> stream().next())
                .isInstanceOfSatisfying(CubeException.class, e -> assertThat(e.status()).isEqualTo(404))
                .hasMessage("no process 7");
    }

    @Test
    void reportsAConnectionThatEndsWithinAMessage() {
        add(0, "{\"n\":1}");
        byte[] cut = java.util.Arrays.copyOf(bytes.toByteArray(), bytes.size() - 1);
        assertThatThrownBy(() -> new ConnectStream(new ByteArrayInputStream(cut)).next())
                .isInstanceOf(CubeException.class);
    }

    @Test
    void reportsAConnectionThatEndsWithoutALastMessage() {
        assertThatThrownBy(() -> stream().next()).isInstanceOf(CubeException.class)
                .hasMessageContaining("in the middle of a stream");
    }

    @Test
    void refusesALengthBeyondReason() {
        bytes.writeBytes(new byte[] {0, 0x7f, 0, 0, 0});
        assertThatThrownBy(() -> stream().next()).isInstanceOf(CubeException.class)
                .hasMessageContaining("not one this client understands");
    }

    @Test
    void readsWhatItsOwnEnvelopeWrites() {
        bytes.writeBytes(ConnectStream.envelope("{\"n\":3}".getBytes(StandardCharsets.UTF_8)));
        assertThat(stream().next().orElseThrow().path("n").asInt()).isEqualTo(3);
    }

    private void add(int flags, String json) {
        byte[] message = json.getBytes(StandardCharsets.UTF_8);
        bytes.writeBytes(new byte[] {(byte) flags, 0, 0, (byte) (message.length >> 8), (byte) message.length});
        bytes.writeBytes(message);
    }

    private ConnectStream stream() {
        return new ConnectStream(new ByteArrayInputStream(bytes.toByteArray()));
    }
}
