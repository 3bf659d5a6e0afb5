package dev.cube.envd.files;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/** Reads a {@code multipart/form-data} body (RFC 7578) part by part, holding no more of it than a buffer. */
final class MultipartReader {
    private static final int BUFFER_SIZE = 64 * 1024;
    private static final int HEADERS_LIMIT = 16 * 1024;
    /** RFC 2046. */
    private static final int BOUNDARY_LIMIT = 70;

    /**
     * @param headers by their names in lower case
     * @param body    to be read before the next part is asked for
     */
    record Part(Map<String, String> headers, InputStream body) {}

    private final InputStream input;
    /** What parts one part from the next: a line break, two dashes, the boundary. */
    private final byte[] delimiter;
    private final byte[] buffer = new byte[BUFFER_SIZE];
    private int start;
    private int end;
    private PartBody current;

    MultipartReader(InputStream input, String boundary) throws MalformedMultipart {
        if (boundary.isEmpty() || boundary.length() > BOUNDARY_LIMIT) {
            throw new MalformedMultipart("the boundary is empty or longer than " + BOUNDARY_LIMIT + " characters");
        }
        this.input = input;
        this.delimiter = ("\r\n--" + boundary).getBytes(StandardCharsets.ISO_8859_1);
        // The first delimiter has no line break before it where the body begins with it: supply one.
        buffer[0] = '\r';
        buffer[1] = '\n';
        end = 2;
        current = new PartBody();
    }

    /** The next part; empty after the last. */
    Optional<Part> next() throws IOException, MalformedMultipart {
        current.skipRest();
        if (!atLeast(2)) {
            throw new MalformedMultipart("the body ends within a boundary");
        }
        if (buffer[start] == '-' && buffer[start + 1] == '-') {
            return Optional.empty();
        }
        if (!line(HEADERS_LIMIT).isBlank()) {
            throw new MalformedMultipart("there is text after a boundary");
        }
        Map<String, String> headers = headers();
        current = new PartBody();
        return Optional.of(new Part(headers, current));
    }

    private Map<String, String> headers() throws IOException, MalformedMultipart {
        var headers = new HashMap<String, String>();
        int room = HEADERS_LIMIT;
        for (String line = line(room); !line.isEmpty(); line = line(room)) {
            room -= line.length() + 2;
            int colon = line.indexOf(':');
            if (colon <= 0) {
                throw new MalformedMultipart("a header of a part has no colon");
            }
            headers.putIfAbsent(line.substring(0, colon).strip().toLowerCase(Locale.ROOT),
                    line.substring(colon + 1).strip());
        }
        // A part may be empty, and then the line break that ends its headers also begins the delimiter.
        start -= 2;
        return headers;
    }

    /** A line without its line break. */
    private String line(int limit) throws IOException, MalformedMultipart {
        int length = 0;
        while (true) {
            if (!atLeast(length + 2)) {
                throw new MalformedMultipart("the body ends within the headers of a part");
            }
            if (buffer[start + length] == '\r' && buffer[start + length + 1] == '\n') {
                break;
            }
            if (++length > limit) {
                throw new MalformedMultipart("the headers of a part are longer than " + HEADERS_LIMIT + " bytes");
            }
        }
        String line = new String(buffer, start, length, StandardCharsets.UTF_8);
        start += length + 2;
        return line;
    }

    /** Has {@code count} bytes in the buffer, if there are so many left. */
    private boolean atLeast(int count) throws IOException {
        if (end - start >= count) {
            return true;
        }
        System.arraycopy(buffer, start, buffer, 0, end - start);
        end -= start;
        start = 0;
        while (end < count) {
            int read = input.read(buffer, end, buffer.length - end);
            if (read < 0) {
                return false;
            }
            end += read;
        }
        return true;
    }

    /** The bytes up to the next delimiter, which is taken out of the input when it is reached. */
    private final class PartBody extends InputStream {
        /** Whether the two bytes before the body, which may begin a delimiter but are not of the body, are ahead. */
        private boolean atLineBreak = true;
        private boolean over;

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] target, int offset, int length) throws IOException {
            Objects.checkFromIndexSize(offset, length, target.length);
            if (length == 0) {
                return 0;
            }
            if (over) {
                return -1;
            }
            boolean whole = atLeast(delimiter.length);
            int found = delimiterOrLineBreak();
            if (found == start && whole && matches(start)) {
                start += delimiter.length;
                over = true;
                return -1;
            }
            if (!whole) {
                throw new IOException("the body ends before its last boundary");
            }
            if (atLineBreak) {
                atLineBreak = false;
                start += 2;
                return read(target, offset, length);
            }
            // A line break at the very start that begins no delimiter belongs to the body.
            int stop = found == start ? delimiterOrLineBreak(start + 1) : found;
            int count = Math.min(length, stop - start);
            System.arraycopy(buffer, start, target, offset, count);
            start += count;
            return count;
        }

        private int delimiterOrLineBreak() {
            return delimiterOrLineBreak(start);
        }

        /** Where the next carriage return is, at or after {@code from}; the end of the buffer if there is none. */
        private int delimiterOrLineBreak(int from) {
            for (int i = from; i < end; i++) {
                if (buffer[i] == '\r') {
                    return i;
                }
            }
            return end;
        }

        private boolean matches(int at) {
            for (int i = 0; i < delimiter.length; i++) {
                if (buffer[at + i] != delimiter[i]) {
                    return false;
                }
            }
            return true;
        }

        void skipRest() throws IOException {
            byte[] waste = new byte[8192];
            while (read(waste, 0, waste.length) >= 0) {
                // Nobody wants it.
            }
        }
    }
}
