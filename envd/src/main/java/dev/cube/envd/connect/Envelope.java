package dev.cube.envd.connect;

import io.vertx.core.buffer.Buffer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * A frame of a stream: one byte of flags, the length of the payload in four bytes with the most significant first, and
 * the payload.
 */
record Envelope(boolean compressed, boolean endOfStream, byte[] payload) {
    private static final int COMPRESSED = 1;
    private static final int END_OF_STREAM = 2;
    private static final int PREFIX_LENGTH = 5;

    /** The next frame; empty at the end of the input. */
    static Optional<Envelope> read(InputStream input, int limit) throws IOException {
        byte[] prefix = input.readNBytes(PREFIX_LENGTH);
        if (prefix.length == 0) {
            return Optional.empty();
        }
        if (prefix.length < PREFIX_LENGTH) {
            throw new ConnectException(Code.INVALID_ARGUMENT, "protocol error: incomplete envelope");
        }
        int flags = prefix[0];
        if ((flags & ~(COMPRESSED | END_OF_STREAM)) != 0) {
            throw new ConnectException(Code.INVALID_ARGUMENT, "protocol error: invalid envelope flags " + flags);
        }
        long length = Integer.toUnsignedLong(ByteBuffer.wrap(prefix, 1, Integer.BYTES).getInt());
        if (length > limit) {
            throw tooLarge(length, limit);
        }
        byte[] payload = input.readNBytes((int) length);
        if (payload.length < length) {
            throw new ConnectException(Code.INVALID_ARGUMENT, "protocol error: promised " + length
                    + " bytes in enveloped message, got " + payload.length + " bytes");
        }
        return Optional.of(new Envelope((flags & COMPRESSED) != 0, (flags & END_OF_STREAM) != 0, payload));
    }

    static ConnectException tooLarge(long size, int limit) {
        return new ConnectException(Code.RESOURCE_EXHAUSTED,
                "message size " + size + " is larger than configured max " + limit);
    }

    static Buffer message(byte[] payload) {
        return frame(0, payload);
    }

    static Buffer endOfStream(byte[] payload) {
        return frame(END_OF_STREAM, payload);
    }

    private static Buffer frame(int flags, byte[] payload) {
        return Buffer.buffer(PREFIX_LENGTH + payload.length)
                .appendByte((byte) flags).appendInt(payload.length).appendBytes(payload);
    }
}
