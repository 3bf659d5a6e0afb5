package dev.cube.image;

import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * File names are bytes on Linux and in tar archives. They are kept in strings of one char per byte (ISO 8859-1), so that
 * names that are no valid UTF-8 pass through unchanged whatever the JVM's locale.
 */
final class RawName {
    private RawName() {}

    static String of(byte[] bytes, int offset, int length) {
        return new String(bytes, offset, length, StandardCharsets.ISO_8859_1);
    }

    static String of(Path path) {
        byte[] bytes = path.toString().getBytes(Charset.forName(System.getProperty("sun.jnu.encoding")));
        return of(bytes, 0, bytes.length);
    }

    static byte[] bytes(String raw) {
        return raw.getBytes(StandardCharsets.ISO_8859_1);
    }

    /** For messages: decoded as UTF-8, without control characters, and shortened. */
    static String display(String raw) {
        String text = new String(bytes(raw), StandardCharsets.UTF_8).replaceAll("\\p{Cntrl}", "?");
        return text.length() <= 200 ? text : text.substring(0, 197) + "...";
    }
}
