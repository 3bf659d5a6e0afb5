package dev.cube.proxy;

import dev.cube.guest.GuestException;
import dev.cube.guest.GuestStream;
import dev.cube.http.BlockingInput;
import dev.cube.http.BlockingOutput;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.Http2Headers;
import io.vertx.core.MultiMap;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.core.http.HttpVersion;
import java.io.IOException;
import java.io.InputStream;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Carries a request of gRPC to a service in the guest, and its answer back. gRPC has no other form than HTTP/2, so its
 * services speak that from the first byte on. Runs on a virtual thread.
 */
final class Http2Relay {
    private static final Logger LOG = LoggerFactory.getLogger(Http2Relay.class);
    private static final int CHUNK = 16 * 1024;
    /** But not gRPC-Web, which is made for HTTP/1.1. */
    private static final Pattern GRPC = Pattern.compile("application/grpc(?:[+;].*)?", Pattern.CASE_INSENSITIVE);

    private final HttpServerRequest request;
    private final HttpServerResponse response;

    Http2Relay(HttpServerRequest request) {
        this.request = request;
        this.response = request.response();
    }

    /** Whether a request can only be meant for a service that speaks HTTP/2. */
    static boolean wanted(HttpServerRequest request) {
        String type = request.getHeader("Content-Type");
        return request.version() == HttpVersion.HTTP_2 && type != null && GRPC.matcher(type).matches();
    }

    /**
     * @param host       what the client asked
     * @param maskedHost what the service is told instead
     */
    void run(String host, Optional<String> maskedHost, GuestStream stream) throws IOException {
        try (var exchange = new Http2Exchange(stream); var body = BlockingInput.of(request)) {
            exchange.send(head(host, maskedHost));
            Thread.ofVirtual().name("upload").start(() -> upload(body, exchange));
            answer(exchange, stream);
        }
    }

    private Http2Headers head(String host, Optional<String> maskedHost) {
        var head = new DefaultHttp2Headers().method(request.method().name()).scheme("http").path(request.uri())
                .authority(maskedHost.orElse(host));
        Set<String> dropped = RequestHead.dropped(request.headers());
        if (maskedHost.isPresent()) {
            dropped.add("x-forwarded-host");
            head.add("x-forwarded-host", host);
        }
        for (Map.Entry<String, String> header : request.headers()) {
            String name = header.getKey().toLowerCase(Locale.ROOT);
            if (!dropped.contains(name) && !name.startsWith(":")) {
                head.add(name, header.getValue());
            }
        }
        return head.add("te", "trailers");
    }

    private static void upload(InputStream body, Http2Exchange exchange) {
        byte[] chunk = new byte[CHUNK];
        try {
            for (int read = body.read(chunk); read >= 0; read = body.read(chunk)) {
                exchange.send(chunk, read, false);
            }
            exchange.send(chunk, 0, true);
        } catch (IOException | GuestException e) {
            // Either side broke off. A service that takes no more may still have an answer.
            LOG.debug("upload broken off: {}", e.getMessage());
        }
    }

    private void answer(Http2Exchange exchange, GuestStream stream) throws IOException {
        if (!(exchange.receive() instanceof Http2Exchange.Part.Head head)) {
            throw new IOException("malformed HTTP/2: no head");
        }
        response.setStatusCode(statusOf(head.headers()));
        copy(head.headers(), response.headers());
        if (head.end()) {
            response.end();
            return;
        }
        response.writeHead();
        var output = BlockingOutput.to(response);
        output.onClosed(() -> Thread.startVirtualThread(stream::close));
        try {
            for (boolean end = false; !end;) {
                switch (exchange.receive()) {
                    case Http2Exchange.Part.Body body -> {
                        output.write(Buffer.buffer(body.data()));
                        end = body.end();
                    }
                    case Http2Exchange.Part.Trailer trailer -> {
                        copy(trailer.headers(), response.trailers());
                        end = true;
                    }
                    case Http2Exchange.Part.Head _ -> throw new IOException("malformed HTTP/2: a second head");
                }
            }
        } catch (Http2Exchange.Reset e) {
            response.reset(e.code());
            throw e;
        } catch (IOException e) {
            response.reset();
            throw e;
        }
        output.close();
    }

    private static int statusOf(Http2Headers headers) throws IOException {
        try {
            return Integer.parseInt(String.valueOf(headers.status()));
        } catch (NumberFormatException e) {
            throw new IOException("malformed HTTP/2: status " + headers.status(), e);
        }
    }

    private static void copy(Http2Headers from, MultiMap to) {
        from.forEach(header -> {
            if (header.getKey().charAt(0) != ':') {
                to.add(header.getKey().toString(), header.getValue().toString());
            }
        });
    }
}
