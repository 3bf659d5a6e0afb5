package dev.cube.proxy;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.http.HttpContent;
import io.netty.handler.codec.http.HttpDecoderConfig;
import io.netty.handler.codec.http.HttpMessage;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.HttpResponseDecoder;
import io.netty.handler.codec.http.LastHttpContent;
import io.netty.util.ReferenceCountUtil;
import io.vertx.core.http.HttpMethod;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Reads the answer of a service in the guest with Netty's decoder, which takes the bytes for hostile and bounds what it
 * holds. For one thread.
 */
final class GuestResponse implements AutoCloseable {
    private static final int CHUNK = 64 * 1024;
    private static final int LINE_LIMIT = 8 * 1024;
    private static final int HEADERS_LIMIT = 64 * 1024;

    private final InputStream input;
    private final EmbeddedChannel decoder;
    private final byte[] chunk = new byte[CHUNK];
    private final List<Map.Entry<String, String>> trailers = new ArrayList<>();
    private boolean ended;

    GuestResponse(InputStream input, HttpMethod method) {
        this.input = input;
        var config = new HttpDecoderConfig().setMaxInitialLineLength(LINE_LIMIT).setMaxHeaderSize(HEADERS_LIMIT)
                .setMaxChunkSize(CHUNK);
        this.decoder = new EmbeddedChannel(new HttpResponseDecoder(config) {
            @Override
            protected boolean isContentAlwaysEmpty(HttpMessage message) {
                return HttpMethod.HEAD.equals(method) || super.isContentAlwaysEmpty(message);
            }
        });
    }

    /** The final answer's head, after interim ones have been passed over. */
    HttpResponse head() throws IOException {
        while (true) {
            HttpObject object = next().orElseThrow(() -> new IOException("the connection was closed"));
            if (object instanceof HttpResponse head) {
                if (head.decoderResult().isFailure()) {
                    throw new IOException("malformed HTTP: " + head.decoderResult().cause().getMessage());
                }
                int status = head.status().code();
                if (status >= 200 || status == 101) {
                    return head;
                }
            } else {
                ReferenceCountUtil.release(object);
            }
        }
    }

    /** Whether there is more of the answer that need not be waited for. */
    boolean hasMore() {
        return !decoder.inboundMessages().isEmpty();
    }

    /** The next bytes of the body; empty after the last. */
    Optional<byte[]> body() throws IOException {
        while (!ended) {
            Optional<HttpObject> object = next();
            if (object.isEmpty()) {
                throw new IOException("the connection was closed within an answer");
            }
            if (!(object.get() instanceof HttpContent content)) {
                throw new IOException("malformed HTTP: a second answer");
            }
            try {
                if (content.decoderResult().isFailure()) {
                    throw new IOException("malformed HTTP: " + content.decoderResult().cause().getMessage());
                }
                if (content instanceof LastHttpContent last) {
                    ended = true;
                    trailers.addAll(last.trailingHeaders().entries());
                }
                if (content.content().isReadable()) {
                    byte[] bytes = new byte[content.content().readableBytes()];
                    content.content().readBytes(bytes);
                    return Optional.of(bytes);
                }
            } finally {
                content.release();
            }
        }
        return Optional.empty();
    }

    /** The headers behind the body, when that has been read. */
    List<Map.Entry<String, String>> trailers() {
        return List.copyOf(trailers);
    }

    /** What was read already behind the head of an answer that switches protocols. */
    byte[] rest() {
        ByteBuf rest = Unpooled.buffer();
        for (Object object = decoder.readInbound(); object != null; object = decoder.readInbound()) {
            // The decoder passes on as they are the bytes behind the empty body of such an answer.
            if (object instanceof ByteBuf bytes) {
                rest.writeBytes(bytes);
            }
            ReferenceCountUtil.release(object);
        }
        return ByteBufUtil.getBytes(rest);
    }

    private Optional<HttpObject> next() throws IOException {
        while (true) {
            HttpObject object = decoder.readInbound();
            if (object != null) {
                return Optional.of(object);
            }
            int read = input.read(chunk);
            if (read < 0) {
                // The end of the connection may be the end of the body.
                decoder.finish();
                return Optional.ofNullable(decoder.readInbound());
            }
            decoder.writeInbound(Unpooled.copiedBuffer(chunk, 0, read));
        }
    }

    @Override
    public void close() {
        decoder.finishAndReleaseAll();
    }
}
