package dev.cube.envd.daemon;

import dev.cube.envd.ProcessLog;
import dev.cube.envd.SandboxTarget;
import dev.cube.guest.GuestAgent;
import dev.cube.http.BlockingHandler;
import dev.cube.http.RequestBody;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.ext.web.Router;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;

/** A real server over a guest, and what tests ask of it. */
final class EnvdServer implements AutoCloseable {
    private final Vertx vertx = Vertx.vertx();
    final List<String> log = new CopyOnWriteArrayList<>();
    private final Envd envd = new Envd(new ProcessLog() {
        @Override
        public void started(String sandboxId, int pid, String command, List<String> arguments) {
            log.add("%s started %d: %s %s".formatted(sandboxId, pid, command, arguments));
        }

        @Override
        public void ended(String sandboxId, int pid, String status) {
            log.add("%s ended %d: %s".formatted(sandboxId, pid, status));
        }
    });
    private final HttpServer server;
    final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    volatile GuestAgent agent;

    EnvdServer(GuestAgent agent, Optional<String> token) {
        this.agent = agent;
        Router router = Router.router(vertx);
        router.route().handler(BlockingHandler.of(context -> envd.handle(
                new SandboxTarget("sandbox1", this.agent, token), context)));
        server = RequestBody.await(vertx.createHttpServer(new HttpServerOptions().setHost("127.0.0.1").setPort(0))
                .requestHandler(router).listen());
    }

    int port() {
        return server.actualPort();
    }

    HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port() + path)).timeout(Duration.ofSeconds(30));
    }

    HttpResponse<String> get(String path, String... headers) throws Exception {
        HttpRequest.Builder builder = request(path);
        if (headers.length > 0) {
            builder.headers(headers);
        }
        return client.send(builder.build(), HttpResponse.BodyHandlers.ofString());
    }

    HttpResponse<String> json(String procedure, String body, String... headers) throws Exception {
        HttpRequest.Builder builder = request(procedure).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body));
        if (headers.length > 0) {
            builder.headers(headers);
        }
        return client.send(builder.build(), HttpResponse.BodyHandlers.ofString());
    }

    /** Starts a streaming call; the frames are to be read from what it returns. */
    HttpResponse<InputStream> stream(String procedure, String type, byte[] frames, String... headers)
            throws Exception {
        HttpRequest.Builder builder = request(procedure).header("Content-Type", "application/connect+" + type)
                .POST(HttpRequest.BodyPublishers.ofByteArray(frames));
        if (headers.length > 0) {
            builder.headers(headers);
        }
        return client.send(builder.build(), HttpResponse.BodyHandlers.ofInputStream());
    }

    HttpResponse<InputStream> jsonStream(String procedure, String message, String... headers) throws Exception {
        return stream(procedure, "json", frame(message), headers);
    }

    static byte[] frame(String json) {
        return frame(json.getBytes(StandardCharsets.UTF_8));
    }

    static byte[] frame(byte[] payload) {
        return ByteBuffer.allocate(5 + payload.length).put((byte) 0).putInt(payload.length).put(payload).array();
    }

    static byte[] concat(byte[]... parts) {
        var all = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            all.writeBytes(part);
        }
        return all.toByteArray();
    }

    /** A frame as text, the one that ends the stream with {@code end:} before it; empty at the end of the input. */
    static Optional<String> readFrame(InputStream input) throws IOException {
        var data = new DataInputStream(input);
        int flags;
        try {
            flags = data.readUnsignedByte();
        } catch (EOFException e) {
            return Optional.empty();
        }
        byte[] payload = new byte[data.readInt()];
        data.readFully(payload);
        return Optional.of(((flags & 2) != 0 ? "end:" : "") + new String(payload, StandardCharsets.UTF_8));
    }

    static List<String> readFrames(InputStream input) throws IOException {
        var frames = new ArrayList<String>();
        for (var frame = readFrame(input); frame.isPresent(); frame = readFrame(input)) {
            frames.add(frame.get());
        }
        return frames;
    }

    @Override
    public void close() {
        client.shutdownNow();
        RequestBody.await(vertx.close());
    }
}
