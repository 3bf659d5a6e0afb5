package dev.cube.envd.files;

import java.util.Optional;

/**
 * A part of a file.
 *
 * @param first position of its first byte
 */
record ByteRange(long first, long length) {
    /** Thrown where a range lies outside the file. */
    static final class Unsatisfiable extends Exception {
        Unsatisfiable(long size) {
            super("invalid range: the file has " + size + " bytes", null, false, false);
        }
    }

    /** The one range that a {@code Range} header asks for; empty if it asks for several or cannot be understood. */
    static Optional<ByteRange> parse(String header, long size) throws Unsatisfiable {
        if (header == null || !header.startsWith("bytes=") || header.indexOf(',') >= 0) {
            return Optional.empty();
        }
        String range = header.substring("bytes=".length()).strip();
        int dash = range.indexOf('-');
        if (dash < 0) {
            return Optional.empty();
        }
        try {
            if (dash == 0) {
                long suffix = Math.min(number(range.substring(1)), size);
                return within(size - suffix, size - 1, size);
            }
            long first = number(range.substring(0, dash));
            String last = range.substring(dash + 1);
            return last.isEmpty() ? within(first, size - 1, size)
                    : within(first, Math.min(number(last), size - 1), size);
        } catch (NumberFormatException e) {
            return Optional.empty();
        }
    }

    private static long number(String text) {
        if (text.startsWith("-") || text.startsWith("+")) {
            throw new NumberFormatException(text);
        }
        return Long.parseLong(text);
    }

    private static Optional<ByteRange> within(long first, long last, long size) throws Unsatisfiable {
        if (first >= size) {
            throw new Unsatisfiable(size);
        }
        return last < first ? Optional.empty() : Optional.of(new ByteRange(first, last - first + 1));
    }
}
