package dev.cube.envd.connect;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.Optional;

class EnvelopeFuzzTest {
    private static final int LIMIT = 1024;

    @FuzzTest
    void framesAreReadWholeOrRefused(byte[] input) throws IOException {
        var stream = new ByteArrayInputStream(input);
        var again = new ByteArrayOutputStream();
        try {
            for (Optional<Envelope> frame = Envelope.read(stream, LIMIT); frame.isPresent();
                    frame = Envelope.read(stream, LIMIT)) {
                byte[] payload = frame.get().payload();
                assertThat(payload.length).isLessThanOrEqualTo(LIMIT);
                byte[] written = (frame.get().endOfStream()
                        ? Envelope.endOfStream(payload) : Envelope.message(payload)).getBytes();
                written[0] |= (byte) (frame.get().compressed() ? 1 : 0);
                again.writeBytes(written);
            }
            assertThat(again.toByteArray()).isEqualTo(input);
        } catch (ConnectException e) {
            assertThat(e.code()).isIn(Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED);
            assertThat(again.toByteArray()).isEqualTo(Arrays.copyOf(input, again.size()));
        }
    }
}
