package dev.cube.envd.connect;

import com.google.protobuf.Message;
import java.io.IOException;
import java.io.InputStream;
import java.util.Optional;

/** The messages that a client streams to us. */
public final class MessageSource<M extends Message> {
    private final InputStream input;
    private final Codec codec;
    private final Compression compression;
    private final M prototype;
    private final int limit;

    MessageSource(InputStream input, Codec codec, Compression compression, M prototype, int limit) {
        this.input = input;
        this.codec = codec;
        this.compression = compression;
        this.prototype = prototype;
        this.limit = limit;
    }

    /** Waits for the next message; empty when there are no more. */
    public Optional<M> next() throws IOException {
        Optional<Envelope> read = Envelope.read(input, limit);
        if (read.isEmpty() || read.get().endOfStream()) {
            return Optional.empty();
        }
        Envelope envelope = read.get();
        if (envelope.compressed() && compression == Compression.IDENTITY) {
            throw new ConnectException(Code.INTERNAL,
                    "protocol error: sent compressed message without compression support");
        }
        byte[] payload = envelope.compressed() ? compression.expand(envelope.payload(), limit) : envelope.payload();
        return Optional.of(codec.decode(payload, prototype));
    }

    /** The one message of a call whose answers alone are streamed. */
    M only() throws IOException {
        M message = next().orElseThrow(
                () -> new ConnectException(Code.UNIMPLEMENTED, "unary request has zero messages"));
        if (next().isPresent()) {
            throw new ConnectException(Code.UNIMPLEMENTED, "unary request has multiple messages");
        }
        return message;
    }
}
