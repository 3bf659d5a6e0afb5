package dev.cube.envd.files;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

class MultipartFuzzTest {
    private static final String BOUNDARY = "xyz";

    /** However the bytes arrive, the parts are the same; and no part holds its own delimiter. */
    @FuzzTest
    void partsDoNotDependOnHowBytesArrive(byte[] input) {
        List<String> whole = read(new ByteArrayInputStream(input));
        List<String> single = read(new Dripping(input));
        assertThat(single).isEqualTo(whole);
        assertThat(whole).noneMatch(part -> part.contains("\r\n--" + BOUNDARY));
    }

    /** What is written as a form is read as it was. */
    @FuzzTest
    void aFormKeepsItsContent(byte[] content) {
        String text = new String(content, StandardCharsets.ISO_8859_1);
        // The content follows a line break, so that its first bytes may make a delimiter too.
        if (("\r\n" + text).contains("\r\n--" + BOUNDARY)) {
            return;
        }
        var form = new ByteArrayOutputStream();
        form.writeBytes(("preamble\r\n--" + BOUNDARY + "\r\nA: b\r\n\r\n").getBytes(StandardCharsets.ISO_8859_1));
        form.writeBytes(content);
        form.writeBytes(("\r\n--" + BOUNDARY + "--").getBytes(StandardCharsets.ISO_8859_1));
        assertThat(read(new ByteArrayInputStream(form.toByteArray()))).containsExactly("{a=b}" + text, "end");
    }

    @FuzzTest
    void headersAreUnderstoodOrNot(byte[] input) {
        MediaType type = MediaType.parse(new String(input, StandardCharsets.UTF_8));
        assertThat(type.value()).isEqualTo(type.value().strip());
        assertThat(MediaType.inline(new String(input, StandardCharsets.UTF_8))).startsWith("inline; filename")
                .matches(header -> header.chars().allMatch(c -> c >= ' ' && c < 0x7f));
    }

    /** The parts with their headers, and how the form ended. */
    private static List<String> read(InputStream input) {
        var parts = new ArrayList<String>();
        try {
            var reader = new MultipartReader(input, BOUNDARY);
            for (Optional<MultipartReader.Part> part = reader.next(); part.isPresent(); part = reader.next()) {
                String body = new String(part.get().body().readAllBytes(), StandardCharsets.ISO_8859_1);
                parts.add(part.get().headers() + body);
            }
            parts.add("end");
        } catch (MalformedMultipart | IOException e) {
            parts.add(e.getMessage());
        }
        return parts;
    }

    /** Gives out one byte at a time. */
    private static final class Dripping extends InputStream {
        private final byte[] data;
        private int at;

        Dripping(byte[] data) {
            this.data = data.clone();
        }

        @Override
        public int read() {
            return at < data.length ? data[at++] & 0xff : -1;
        }

        @Override
        public int read(byte[] target, int offset, int length) {
            if (length == 0) {
                return 0;
            }
            int next = read();
            if (next < 0) {
                return -1;
            }
            target[offset] = (byte) next;
            return 1;
        }
    }
}
