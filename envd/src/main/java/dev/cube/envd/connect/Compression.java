package dev.cube.envd.connect;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.zip.GZIPInputStream;

/** How a client compressed what it sends. Answers are never compressed, which every client has to take. */
enum Compression {
    IDENTITY, GZIP;

    static Compression of(String header) {
        return switch (header) {
            case null -> IDENTITY;
            case "", "identity" -> IDENTITY;
            case "gzip" -> GZIP;
            default -> throw new ConnectException(Code.UNIMPLEMENTED,
                    "unknown compression \"" + header + "\": supported encodings are gzip");
        };
    }

    /** At most {@code limit} bytes of the original; {@code RESOURCE_EXHAUSTED} if it is longer. */
    byte[] expand(byte[] data, int limit) {
        if (this == IDENTITY || data.length == 0) {
            return data;
        }
        try (var input = new GZIPInputStream(new ByteArrayInputStream(data))) {
            byte[] original = input.readNBytes(limit + 1);
            if (original.length > limit) {
                throw Envelope.tooLarge(original.length, limit);
            }
            return original;
        } catch (IOException e) {
            throw new ConnectException(Code.INVALID_ARGUMENT, "decompress: " + e.getMessage());
        }
    }
}
