package dev.cube.envd.files;

import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * A value with parameters, as {@code Content-Type} and {@code Content-Disposition} have (RFC 2045, RFC 2231 without
 * continuations).
 *
 * @param value      in lower case
 * @param parameters by their names in lower case
 */
record MediaType(String value, Map<String, String> parameters) {
    private static final String SPECIALS = "()<>@,;:\\\"/[]?=";

    /** Reads a header's value; what cannot be understood at its end is left out. */
    static MediaType parse(String header) {
        int semicolon = header.indexOf(';');
        String value = (semicolon < 0 ? header : header.substring(0, semicolon)).strip().toLowerCase(Locale.ROOT);
        var parameters = new HashMap<String, String>();
        int at = semicolon < 0 ? header.length() : semicolon + 1;
        while (at < header.length()) {
            int equals = header.indexOf('=', at);
            if (equals < 0) {
                break;
            }
            String name = header.substring(at, equals).strip().toLowerCase(Locale.ROOT);
            var text = new StringBuilder();
            at = value(header, equals + 1, text);
            if (name.endsWith("*")) {
                decode(text.toString()).ifPresent(
                        decoded -> parameters.put(name.substring(0, name.length() - 1), decoded));
            } else {
                parameters.putIfAbsent(name, text.toString());
            }
        }
        return new MediaType(value, Map.copyOf(parameters));
    }

    /** Reads a parameter's value from {@code at}; returns where the next parameter begins. */
    private static int value(String header, int at, StringBuilder into) {
        int next = at;
        if (next >= header.length() || header.charAt(next) != '"') {
            int semicolon = header.indexOf(';', next);
            int stop = semicolon < 0 ? header.length() : semicolon;
            into.append(header.substring(next, stop).strip());
            return stop + 1;
        }
        for (next++; next < header.length() && header.charAt(next) != '"'; next++) {
            boolean escape = header.charAt(next) == '\\' && next + 1 < header.length()
                    && SPECIALS.indexOf(header.charAt(next + 1)) >= 0;
            if (escape) {
                next++;
            }
            into.append(header.charAt(next));
        }
        int semicolon = header.indexOf(';', next);
        return semicolon < 0 ? header.length() : semicolon + 1;
    }

    /** {@code charset'language'percent-encoded}. */
    private static Optional<String> decode(String text) {
        String[] parts = text.split("'", 3);
        if (parts.length < 3) {
            return Optional.empty();
        }
        try {
            Charset charset = Charset.forName(parts[0]);
            // URLDecoder reads a plus as a space, which is not meant here.
            return Optional.of(java.net.URLDecoder.decode(parts[2].replace("+", "%2B"), charset));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    /** {@code inline} with a file's name, quoted or encoded as its characters need. */
    static String inline(String filename) {
        if (filename.chars().allMatch(c -> c > ' ' && c < 0x7f && SPECIALS.indexOf(c) < 0)) {
            return "inline; filename=" + filename;
        }
        if (filename.chars().allMatch(c -> c >= ' ' && c < 0x7f)) {
            return "inline; filename=\"" + filename.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
        }
        return "inline; filename*=utf-8''"
                + java.net.URLEncoder.encode(filename, StandardCharsets.UTF_8).replace("+", "%20");
    }
}
