package dev.cube.envd.connect;

import java.util.Locale;
import java.util.Optional;

/** The four content types of the protocol: two encodings, with and without envelopes. */
record ContentType(Codec codec, boolean streaming) {
    static Optional<ContentType> parse(String header) {
        if (header == null) {
            return Optional.empty();
        }
        int parameters = header.indexOf(';');
        String type = (parameters < 0 ? header : header.substring(0, parameters)).strip().toLowerCase(Locale.ROOT);
        return switch (type) {
            case "application/json" -> Optional.of(new ContentType(Codec.JSON, false));
            case "application/proto" -> Optional.of(new ContentType(Codec.PROTO, false));
            case "application/connect+json" -> Optional.of(new ContentType(Codec.JSON, true));
            case "application/connect+proto" -> Optional.of(new ContentType(Codec.PROTO, true));
            default -> Optional.empty();
        };
    }

    /** What {@code Accept-Post} says of a procedure. */
    static String accepted(boolean streaming) {
        return streaming ? "application/connect+json, application/connect+proto" : "application/json, application/proto";
    }

    String header() {
        return "application/" + (streaming ? "connect+" : "") + codec.name().toLowerCase(Locale.ROOT);
    }
}
