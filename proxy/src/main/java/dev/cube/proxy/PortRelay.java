package dev.cube.proxy;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestStream;
import dev.cube.http.BlockingInput;
import dev.cube.http.BlockingOutput;
import dev.cube.http.HttpError;
import dev.cube.http.RequestBody;
import io.netty.handler.codec.http.HttpResponse;
import io.vertx.core.Context;
import io.vertx.core.Promise;
import io.vertx.core.MultiMap;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.core.net.NetSocket;
import io.vertx.ext.web.RoutingContext;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Carries one request to a TCP port in the guest and its answer back, bodies as they come, and then, where both sides
 * agree to switch protocols, bytes both ways. Runs on a virtual thread.
 */
final class PortRelay {
    private static final Logger LOG = LoggerFactory.getLogger(PortRelay.class);
    private static final int CHUNK = 64 * 1024;
    /**
     * A service that is just being started gets 25 + 50 + 75 + 100 ms to open its port. E2B's proxy tries as often over
     * a second, which whoever polls a port until it answers waits at every turn.
     */
    private static final int CONNECT_ATTEMPTS = 5;
    private static final long CONNECT_BACKOFF_MILLIS = 25;

    private final SandboxAddress address;
    private final Optional<String> maskedHost;
    private final boolean tls;
    private final RoutingContext context;
    private final HttpServerRequest request;
    private final HttpServerResponse response;
    private final Context eventLoop;

    PortRelay(SandboxAddress address, SandboxDirectory.Target target, RoutingContext context, Context eventLoop) {
        this.address = address;
        this.tls = target.tlsPorts().contains(address.port());
        this.maskedHost = target.maskedHost().map(host -> host.replace("${PORT}", Integer.toString(address.port())));
        this.context = context;
        this.request = context.request();
        this.response = context.response();
        this.eventLoop = eventLoop;
    }

    void run(GuestAgent agent) throws InterruptedException {
        RequestHead head;
        try {
            head = RequestHead.of(request, address.host(), maskedHost);
        } catch (RequestHead.Malformed e) {
            RequestBody.discard(request);
            throw new HttpError(400, e.getMessage());
        }
        if (head.framing() == RequestHead.Framing.NO_BODY && !head.upgrade()) {
            RequestBody.discard(request);
        }
        Optional<GuestStream> connected = connect(agent);
        if (connected.isEmpty()) {
            RequestBody.discard(request);
            ErrorPage.portClosed(address).send(context);
            return;
        }
        try (GuestStream stream = connected.get()) {
            response.closeHandler(gone -> Thread.startVirtualThread(stream::close));
            boolean http2 = Http2Relay.wanted(request);
            GuestStream service = tls ? TlsStream.over(stream, http2 ? "h2" : "http/1.1") : stream;
            if (http2) {
                new Http2Relay(request).run(address.host(), maskedHost, service);
            } else {
                exchange(head, service);
            }
        } catch (IOException | IllegalArgumentException e) {
            LOG.debug("{} port {}: {}", address.sandboxId(), address.port(), e.getMessage());
            ErrorPage.noAnswer(address, e.getMessage()).send(context);
        } finally {
            RequestBody.discard(request);
        }
    }

    private Optional<GuestStream> connect(GuestAgent agent) throws InterruptedException {
        for (int attempt = 1;; attempt++) {
            try {
                return Optional.of(agent.connect(address.port()));
            } catch (GuestException e) {
                if (e.kind() != GuestException.Kind.CONNECTION_REFUSED) {
                    throw e;
                }
                if (attempt == CONNECT_ATTEMPTS || response.closed()) {
                    return Optional.empty();
                }
                Thread.sleep(attempt * CONNECT_BACKOFF_MILLIS);
            }
        }
    }

    private void exchange(RequestHead head, GuestStream stream) throws IOException {
        stream.output().write(head.bytes());
        stream.output().flush();
        if (head.framing() == RequestHead.Framing.NO_BODY) {
            answer(head, stream);
            return;
        }
        try (var body = BlockingInput.of(request)) {
            // A service may answer before it has the whole body, or take none of it.
            Thread.ofVirtual().name("upload").start(() -> upload(body, head.framing(), stream));
            answer(head, stream);
        }
    }

    private static void upload(InputStream body, RequestHead.Framing framing, GuestStream stream) {
        boolean chunked = framing == RequestHead.Framing.CHUNKED;
        byte[] chunk = new byte[CHUNK];
        try {
            OutputStream output = stream.output();
            for (int read = body.read(chunk); read >= 0; read = body.read(chunk)) {
                if (chunked) {
                    output.write((Integer.toHexString(read) + "\r\n").getBytes(StandardCharsets.US_ASCII));
                }
                output.write(chunk, 0, read);
                if (chunked) {
                    output.write('\r');
                    output.write('\n');
                }
                output.flush();
            }
            if (chunked) {
                output.write("0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
                output.flush();
            }
        } catch (IOException | GuestException e) {
            // Either side broke off. A service that closed its input may still have an answer to be read.
            LOG.debug("upload broken off: {}", e.getMessage());
        }
    }

    private void answer(RequestHead head, GuestStream stream) throws IOException {
        try (var guest = new GuestResponse(stream.input(), request.method())) {
            HttpResponse answer = guest.head();
            int status = answer.status().code();
            if (status == 101) {
                if (!head.upgrade()) {
                    throw new IOException("it switches protocols, which nobody asked for");
                }
                tunnel(answer, guest.rest(), stream);
                return;
            }
            response.setStatusCode(status).setStatusMessage(answer.status().reasonPhrase());
            MultiMap headers = copyHeaders(answer);
            boolean bodiless = HttpMethod.HEAD.equals(request.method()) || status == 204 || status == 304;
            if (!bodiless && !headers.contains("Content-Length")) {
                response.setChunked(true);
            }
            if (bodiless) {
                response.end();
                return;
            }
            var output = BlockingOutput.to(response);
            output.onClosed(() -> Thread.startVirtualThread(stream::close));
            if (!guest.hasMore()) {
                // Events may be long in coming, and whoever waits for them wants to know that they will.
                response.writeHead();
            }
            try {
                for (Optional<byte[]> bytes = guest.body(); bytes.isPresent(); bytes = guest.body()) {
                    output.write(Buffer.buffer(bytes.get()));
                }
            } catch (IOException e) {
                response.reset();
                throw e;
            }
            guest.trailers().forEach(trailer -> response.putTrailer(trailer.getKey(), trailer.getValue()));
            output.close();
        }
    }

    private MultiMap copyHeaders(HttpResponse answer) {
        MultiMap received = MultiMap.caseInsensitiveMultiMap();
        answer.headers().forEach(header -> received.add(header.getKey(), header.getValue()));
        Set<String> dropped = RequestHead.dropped(received);
        for (Map.Entry<String, String> header : received) {
            if (!dropped.contains(header.getKey().toLowerCase(java.util.Locale.ROOT))) {
                response.headers().add(header.getKey(), header.getValue());
            }
        }
        return response.headers();
    }

    private void tunnel(HttpResponse answer, byte[] first, GuestStream stream) throws IOException {
        copyHeaders(answer);
        response.setStatusCode(101).putHeader("Connection", "Upgrade");
        String protocol = answer.headers().get("Upgrade");
        if (protocol != null) {
            response.putHeader("Upgrade", protocol);
        }
        NetSocket socket = RequestBody.await(pausedSocket());
        var toClient = new BlockingOutput(socket);
        socket.closeHandler(gone -> Thread.startVirtualThread(stream::close));
        Thread.ofVirtual().name("tunnel").start(() -> carry(new BlockingInput(socket), stream));
        try {
            toClient.write(Buffer.buffer(first));
            byte[] chunk = new byte[CHUNK];
            for (int read = stream.input().read(chunk); read >= 0; read = stream.input().read(chunk)) {
                toClient.write(Buffer.buffer(read).appendBytes(chunk, 0, read));
            }
        } finally {
            socket.close();
        }
    }

    /** Paused where it appears, on its event loop: what a socket receives while it has no handler is lost. */
    private io.vertx.core.Future<NetSocket> pausedSocket() {
        Promise<NetSocket> promise = Promise.promise();
        eventLoop.runOnContext(run -> request.toNetSocket().onComplete(made -> {
            if (made.succeeded()) {
                made.result().pause();
            }
            promise.handle(made);
        }));
        return promise.future();
    }

    private static void carry(InputStream from, GuestStream to) {
        byte[] chunk = new byte[CHUNK];
        try {
            for (int read = from.read(chunk); read >= 0; read = from.read(chunk)) {
                to.output().write(chunk, 0, read);
                to.output().flush();
            }
            to.output().close();
        } catch (IOException | GuestException e) {
            to.close();
        }
    }
}
