package dev.cube.http;

import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.streams.ReadStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Objects;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * Reads a paused Vert.x stream from a virtual thread. What is not read stays with the sender: at most
 * {@value #CREDIT} buffers are asked for ahead of the reader. For one thread.
 */
public final class BlockingInput extends InputStream {
    private static final int CREDIT = 4;

    private sealed interface Signal {}

    private record Data(Buffer buffer) implements Signal {}

    private record End() implements Signal {}

    private record Failed(Throwable cause) implements Signal {}

    private final ReadStream<Buffer> source;
    /** Bounded by the credit given to the source, and one signal of its end. */
    private final LinkedBlockingQueue<Signal> signals = new LinkedBlockingQueue<>();
    private Buffer current = Buffer.buffer();
    private int position;
    private Signal last;
    private volatile boolean discarding;

    /** Takes over the handlers of a stream that is paused. */
    public BlockingInput(ReadStream<Buffer> source) {
        this.source = source;
        source.exceptionHandler(cause -> signals.add(new Failed(cause)));
        source.handler(buffer -> {
            if (!discarding) {
                signals.add(new Data(buffer));
            }
        });
        source.endHandler(end -> signals.add(new End()));
        ask(CREDIT);
    }

    /** The body of a request that is paused, which may have lost its client by now. */
    public static BlockingInput of(HttpServerRequest request) {
        var input = new BlockingInput(request);
        if (request.response().closed()) {
            input.signals.add(new Failed(new IOException("the connection is closed")));
        }
        return input;
    }

    @Override
    public int read() throws IOException {
        return fill() ? current.getByte(position++) & 0xff : -1;
    }

    @Override
    public int read(byte[] target, int offset, int length) throws IOException {
        Objects.checkFromIndexSize(offset, length, target.length);
        if (length == 0) {
            return 0;
        }
        if (!fill()) {
            return -1;
        }
        int count = Math.min(length, current.length() - position);
        current.getBytes(position, position + count, target, offset);
        position += count;
        return count;
    }

    /** Bytes that can be read without waiting for the sender. */
    @Override
    public int available() {
        return current.length() - position;
    }

    private boolean fill() throws IOException {
        while (position == current.length()) {
            if (last == null) {
                last = take();
            }
            switch (last) {
                case Data(Buffer buffer) -> {
                    current = buffer;
                    position = 0;
                    last = null;
                    ask(1);
                }
                case End() -> {
                    return false;
                }
                case Failed(Throwable cause) -> throw new IOException("the sender broke off", cause);
            }
        }
        return true;
    }

    private Signal take() throws IOException {
        try {
            return signals.take();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
    }

    /** Lets the rest of the stream pass by unread, so that its connection can be used again. */
    @Override
    public void close() {
        discarding = true;
        ask(Long.MAX_VALUE);
    }

    private void ask(long buffers) {
        try {
            source.fetch(buffers);
        } catch (IllegalStateException ended) {
            // So does a request of HTTP/2 after its end, which is among the signals by then.
        }
    }
}
