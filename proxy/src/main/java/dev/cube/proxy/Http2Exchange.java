package dev.cube.proxy;

import dev.cube.guest.GuestException;
import dev.cube.guest.GuestStream;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelOption;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.http2.DefaultHttp2DataFrame;
import io.netty.handler.codec.http2.DefaultHttp2HeadersFrame;
import io.netty.handler.codec.http2.Http2DataFrame;
import io.netty.handler.codec.http2.Http2FrameCodec;
import io.netty.handler.codec.http2.Http2FrameCodecBuilder;
import io.netty.handler.codec.http2.Http2Headers;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2MultiplexHandler;
import io.netty.handler.codec.http2.Http2ResetFrame;
import io.netty.handler.codec.http2.Http2Settings;
import io.netty.handler.codec.http2.Http2StreamChannel;
import io.netty.handler.codec.http2.Http2StreamChannelBootstrap;
import io.netty.util.ReferenceCountUtil;
import io.netty.util.concurrent.Future;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayDeque;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One request and its answer in HTTP/2, over a connection of their own to a service in the guest that is known to speak
 * it. Netty's codec takes the guest's bytes for hostile. One thread may send and another receive at the same time.
 */
final class Http2Exchange implements AutoCloseable {
    private static final int CHUNK = 64 * 1024;
    private static final int WINDOW = 256 * 1024;
    private static final int HEADERS_LIMIT = 64 * 1024;

    /** What a service answers with, in this order: one head, any number of bodies, one trailer unless an end was told before. */
    sealed interface Part {
        record Head(Http2Headers headers, boolean end) implements Part {}

        record Body(byte[] data, boolean end) implements Part {}

        record Trailer(Http2Headers headers) implements Part {}
    }

    /** The service wants no more of it. */
    static final class Reset extends IOException {
        private final long code;

        Reset(long code) {
            super("it gave up with code " + code);
            this.code = code;
        }

        /** Of RFC 9113, 7. */
        long code() {
            return code;
        }
    }

    private final GuestStream stream;
    private final ReentrantLock lock = new ReentrantLock();
    /** Bytes were written, or the service has granted more. */
    private final Condition progress = lock.newCondition();
    private final EmbeddedChannel codec;
    private final Http2StreamChannel exchange;
    private final ArrayDeque<Object> incoming = new ArrayDeque<>();
    private final ByteArrayOutputStream outgoing = new ByteArrayOutputStream();
    private final byte[] chunk = new byte[CHUNK];
    private boolean headed;
    private boolean closed;

    Http2Exchange(GuestStream stream) {
        this.stream = stream;
        Http2FrameCodec frames = Http2FrameCodecBuilder.forClient().initialSettings(Http2Settings.defaultSettings()
                .pushEnabled(false).initialWindowSize(WINDOW).maxHeaderListSize(HEADERS_LIMIT)).build();
        // A service must not open streams.
        codec = new EmbeddedChannel(frames, new Http2MultiplexHandler(new ChannelInboundHandlerAdapter()));
        lock.lock();
        try {
            Future<Http2StreamChannel> opened = new Http2StreamChannelBootstrap(codec)
                    .option(ChannelOption.AUTO_READ, false).handler(new Receiver()).open();
            codec.runPendingTasks();
            exchange = opened.getNow();
            collect();
        } finally {
            lock.unlock();
        }
        // A service that does not read must not keep its own answer from being read.
        Thread.ofVirtual().name("http2-output").start(this::write);
    }

    void send(Http2Headers headers) throws IOException {
        sendFrame(new DefaultHttp2HeadersFrame(headers, false));
    }

    /** Waits until the service has granted that so much is sent. */
    void send(byte[] data, int length, boolean end) throws IOException {
        sendFrame(new DefaultHttp2DataFrame(Unpooled.copiedBuffer(data, 0, length), end));
    }

    private void sendFrame(Object frame) throws IOException {
        lock.lock();
        try {
            if (closed) {
                ReferenceCountUtil.release(frame);
                throw new IOException("the service takes no more");
            }
            ChannelFuture sent = exchange.writeAndFlush(frame);
            collect();
            while (!closed && (!sent.isDone() || outgoing.size() > WINDOW)) {
                progress.await();
            }
            if (closed || !sent.isSuccess()) {
                throw new IOException("the service takes no more", sent.cause());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        } finally {
            lock.unlock();
        }
    }

    /** Has the codec do what it put off, and takes what it wants to be sent. */
    private void collect() {
        codec.runPendingTasks();
        codec.flush();
        codec.releaseInbound();
        for (ByteBuf bytes = codec.readOutbound(); bytes != null; bytes = codec.readOutbound()) {
            outgoing.writeBytes(ByteBufUtil.getBytes(bytes));
            bytes.release();
        }
        progress.signalAll();
    }

    private void write() {
        try {
            OutputStream output = stream.output();
            for (Optional<byte[]> next = nextOutgoing(); next.isPresent(); next = nextOutgoing()) {
                output.write(next.get());
                output.flush();
            }
        } catch (IOException | GuestException e) {
            // The reader finds out what became of the connection.
            close();
        }
    }

    /** All that is to be written, in one piece: a frame is several to the codec. Nothing when this is closed. */
    private Optional<byte[]> nextOutgoing() {
        lock.lock();
        try {
            while (!closed && outgoing.size() == 0) {
                progress.awaitUninterruptibly();
            }
            if (closed) {
                return Optional.empty();
            }
            byte[] next = outgoing.toByteArray();
            outgoing.reset();
            progress.signalAll();
            return Optional.of(next);
        } finally {
            lock.unlock();
        }
    }

    /** The next part of the answer, which is not asked for after the end. */
    Part receive() throws IOException {
        while (true) {
            Object frame = nextFrame();
            try {
                switch (frame) {
                    case Http2HeadersFrame head when isInterim(head.headers()) -> { }
                    case Http2HeadersFrame head when !headed -> {
                        headed = true;
                        return new Part.Head(head.headers(), head.isEndStream());
                    }
                    case Http2HeadersFrame trailer -> {
                        return new Part.Trailer(trailer.headers());
                    }
                    case Http2DataFrame body when headed -> {
                        return new Part.Body(ByteBufUtil.getBytes(body.content()), body.isEndStream());
                    }
                    case Http2DataFrame _ -> throw new IOException("malformed HTTP/2: a body without a head");
                    case Http2ResetFrame reset -> throw new Reset(reset.errorCode());
                    case Throwable failure -> throw new IOException("malformed HTTP/2: " + failure.getMessage(), failure);
                    // The codec has answered settings and pings.
                    default -> { }
                }
            } finally {
                ReferenceCountUtil.release(frame);
            }
        }
    }

    private boolean isInterim(Http2Headers headers) {
        CharSequence status = headers.status();
        return !headed && status != null && status.length() == 3 && status.charAt(0) == '1';
    }

    private Object nextFrame() throws IOException {
        InputStream input = stream.input();
        while (true) {
            lock.lock();
            try {
                if (incoming.isEmpty() && !closed) {
                    // Which also grants the service as much as was taken before.
                    exchange.read();
                    collect();
                }
                Object frame = incoming.poll();
                if (frame != null) {
                    return frame;
                }
            } finally {
                lock.unlock();
            }
            int read = input.read(chunk);
            if (read < 0) {
                throw new IOException("the connection was closed");
            }
            lock.lock();
            try {
                codec.writeInbound(Unpooled.copiedBuffer(chunk, 0, read));
                collect();
            } catch (Exception e) {
                throw new IOException("malformed HTTP/2: " + e.getMessage(), e);
            } finally {
                lock.unlock();
            }
        }
    }

    /** Called by the codec, which is only used under the lock. */
    private final class Receiver extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext context, Object frame) {
            incoming.add(frame);
        }

        @Override
        public void userEventTriggered(ChannelHandlerContext context, Object event) {
            if (event instanceof Http2ResetFrame) {
                incoming.add(event);
            }
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            incoming.add(cause);
        }
    }

    /** Lets go of who waits to send. The connection is its owner's to close. */
    @Override
    public void close() {
        lock.lock();
        try {
            if (!closed) {
                closed = true;
                codec.finishAndReleaseAll();
                incoming.forEach(ReferenceCountUtil::release);
                incoming.clear();
                progress.signalAll();
            }
        } finally {
            lock.unlock();
        }
    }
}
