package dev.cube.sdk;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * The messages of a Connect streaming call: each is a flags byte, a length (four bytes, big-endian) and JSON; flag 2
 * marks the last, which carries the error if there is one. See the Connect protocol reference, "Enveloped-Message".
 * For one thread.
 */
final class ConnectStream implements AutoCloseable {
    private static final int END_OF_STREAM = 2;
    private static final int COMPRESSED = 1;
    private static final int MAX_MESSAGE_BYTES = 64 << 20;

    private final DataInputStream in;

    ConnectStream(InputStream in) {
        this.in = new DataInputStream(in);
    }

    static byte[] envelope(byte[] message) {
        return ByteBuffer.allocate(5 + message.length).put((byte) 0).putInt(message.length).put(message).array();
    }

    /** The next message; empty at the end of the stream. */
    Optional<JsonNode> next() {
        try {
            int flags = in.readUnsignedByte();
            int length = in.readInt();
            if ((flags & COMPRESSED) != 0 || length < 0 || length > MAX_MESSAGE_BYTES) {
                throw new CubeException("the stream is not one this client understands");
            }
            JsonNode message = Json.tree(in.readNBytes(length));
            if ((flags & END_OF_STREAM) == 0) {
                return Optional.of(message);
            }
            if (message.hasNonNull("error")) {
                throw new CubeException(statusOf(message.at("/error/code").asText()),
                        message.at("/error/message").asText());
            }
            return Optional.empty();
        } catch (EOFException e) {
            throw new CubeException("the connection to the sandbox ended in the middle of a stream", e);
        } catch (IOException e) {
            throw new CubeException("the connection to the sandbox broke: " + e.getMessage(), e);
        }
    }

    /** As the Connect protocol maps its codes to HTTP for unary calls. */
    private static int statusOf(String code) {
        return switch (code) {
            case "invalid_argument", "failed_precondition", "out_of_range" -> 400;
            case "unauthenticated" -> 401;
            case "permission_denied" -> 403;
            case "not_found" -> 404;
            case "already_exists", "aborted" -> 409;
            case "resource_exhausted" -> 429;
            case "unimplemented" -> 501;
            case "unavailable" -> 503;
            case "deadline_exceeded" -> 504;
            default -> 500;
        };
    }

    @Override
    public void close() {
        try {
            in.close();
        } catch (IOException e) {
            // Nobody reads what would have come.
        }
    }
}
