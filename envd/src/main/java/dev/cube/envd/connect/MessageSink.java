package dev.cube.envd.connect;

import com.google.protobuf.Message;
import dev.cube.http.BlockingOutput;
import java.io.IOException;

/** Where a streaming call's answers go. Sending waits while the client does not read. */
public final class MessageSink<M extends Message> {
    private final BlockingOutput output;
    private final Codec codec;

    MessageSink(BlockingOutput output, Codec codec) {
        this.output = output;
        this.codec = codec;
    }

    /** Sends a message at once; {@link IOException} if the client is gone. */
    public void send(M message) throws IOException {
        output.write(Envelope.message(codec.encode(message)));
    }

    /** Has {@code action}, which must not block, run when the client goes away. */
    public void onClosed(Runnable action) {
        output.onClosed(action);
    }
}
