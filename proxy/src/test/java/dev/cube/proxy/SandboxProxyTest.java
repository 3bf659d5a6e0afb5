package dev.cube.proxy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.cube.envd.PortService;
import dev.cube.envd.SandboxTarget;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.http.RequestBody;
import dev.cube.http.Responses;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClientAgent;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpClientRequest;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.http.WebSocket;
import io.vertx.core.http.WebSocketConnectOptions;
import io.vertx.core.net.SelfSignedCertificate;
import io.vertx.ext.web.RoutingContext;
import java.io.IOException;
import java.io.InputStream;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class SandboxProxyTest {
    private static final String ID = "sbx1";

    private final Vertx vertx = Vertx.vertx();
    private final LoopbackGuest guest = new LoopbackGuest();
    private final LinkedBlockingQueue<Map<String, String>> seen = new LinkedBlockingQueue<>();
    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final HttpClientAgent grpcCaller = vertx.createHttpClient(new HttpClientOptions()
            .setProtocolVersion(io.vertx.core.http.HttpVersion.HTTP_2).setHttp2ClearTextUpgrade(false));
    private Optional<String> trafficToken = Optional.empty();
    private final AtomicInteger asked = new AtomicInteger();
    private volatile boolean present = true;
    private Optional<String> maskedHost = Optional.empty();
    private Set<Integer> tlsPorts = Set.of();
    private HttpServer proxy;
    private HttpServer inside;

    private static final class Greeter implements PortService {
        @Override
        public int port() {
            return 49983;
        }

        @Override
        public void handle(SandboxTarget target, RoutingContext context) {
            RequestBody.discard(context.request());
            if (context.request().path().equals("/lost")) {
                throw new GuestException(GuestException.Kind.DISCONNECTED, "gone");
            }
            Responses.json(context, 200, Map.of("sandbox", target.sandboxId(), "token", target.accessToken().get()));
        }

        @Override
        public void forget(String sandboxId) {}
    }

    @BeforeEach
    void start() {
        GuestAgent agent = guest.agent();
        var directory = (SandboxDirectory) id -> id.equals(ID)
                ? Optional.of(new SandboxDirectory.Target(ID, () -> {
                            asked.incrementAndGet();
                            return present ? Optional.of(agent) : Optional.empty();
                        },
                        () -> present ? Optional.of(agent) : Optional.empty(),
                        Optional.of("t"), trafficToken, maskedHost, tlsPorts)) : Optional.empty();
        var sandboxes = new SandboxProxy(directory, List.of(new Greeter()));
        proxy = RequestBody.await(vertx.createHttpServer(SandboxProxy.serverOptions().setHost("127.0.0.1").setPort(0))
                .requestHandler(sandboxes.handler(vertx)).listen());
        inside = RequestBody.await(vertx.createHttpServer().requestHandler(this::serveInside)
                .webSocketHandler(socket -> socket.handler(socket::write)).listen(0, "127.0.0.1"));
    }

    @AfterEach
    void stop() {
        client.shutdownNow();
        RequestBody.await(vertx.close());
    }

    private void serveInside(HttpServerRequest request) {
        seen.add(Map.of("method", request.method().name(), "uri", request.uri(), "host",
                String.valueOf(request.getHeader("Host")), "length", String.valueOf(
                request.getHeader("Content-Length")), "encoding", String.valueOf(
                request.getHeader("Transfer-Encoding")), "forwarded", String.valueOf(
                request.getHeader("X-Forwarded-Host"))));
        switch (request.path()) {
            case "/echo" -> {
                request.response().setChunked(true).headers().add("Set-Cookie", "a=1").add("Set-Cookie", "b=2");
                request.pipeTo(request.response());
            }
            case "/events" -> {
                request.response().setChunked(true).putHeader("Content-Type", "text/event-stream").write("data: 1\n\n");
                request.response().closeHandler(gone -> seen.add(Map.of("closed", "yes")));
            }
            case "/grpc.Echo/Call" -> {
                request.response().setChunked(true).putHeader("Content-Type", "application/grpc").writeHead();
                request.handler(data -> request.response().write(data));
                request.endHandler(end -> request.response().putTrailer("grpc-status", "0").end());
            }
            case "/grpc.Echo/Refuse" -> request.response().putHeader("grpc-status", "7").end();
            case "/grpc.Echo/Break" -> {
                request.response().setChunked(true).write("x");
                vertx.setTimer(100, late -> request.response().reset(8));
            }
            case "/grpc.Echo/Flood" -> flood(request.response().setChunked(true), 16);
            case "/early" -> request.response().setStatusCode(413).end("too much");
            default -> request.response().setStatusCode(201).end("hello");
        }
    }

    private static void flood(HttpServerResponse response, int mebibytes) {
        if (mebibytes == 0) {
            response.putTrailer("grpc-status", "0").end();
            return;
        }
        response.write(Buffer.buffer(new byte[1 << 20])).onSuccess(next -> flood(response, mebibytes - 1));
    }

    private HttpRequest.Builder to(int port, String path) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + proxy.actualPort() + path))
                .timeout(Duration.ofSeconds(20))
                .header("E2b-Sandbox-Id", ID).header("E2b-Sandbox-Port", Integer.toString(port));
    }

    private HttpResponse<String> send(HttpRequest.Builder request) throws Exception {
        return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }

    /** One request as text, the answer as text. */
    private String raw(String request) throws IOException {
        try (var socket = new Socket("127.0.0.1", proxy.actualPort())) {
            socket.setSoTimeout(20_000);
            socket.getOutputStream().write(request.getBytes(StandardCharsets.ISO_8859_1));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
        }
    }

    private Map<String, String> nextSeen() throws InterruptedException {
        Map<String, String> next = seen.poll(30, TimeUnit.SECONDS);
        assertThat(next).isNotNull();
        return next;
    }

    @Test
    void routesByHostName() throws Exception {
        String host = inside.actualPort() + "-" + ID + ".cube.localhost:8443";
        assertThat(raw("GET /a?b=c%20d HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"))
                .startsWith("HTTP/1.1 201 Created").endsWith("hello");
        assertThat(nextSeen()).containsEntry("host", host).containsEntry("uri", "/a?b=c%20d")
                .containsEntry("length", "null").containsEntry("encoding", "null");
        assertThat(raw("GET /x HTTP/1.1\r\nHost: 49983-" + ID + ".x.y\r\nConnection: close\r\n\r\n"))
                .contains("\"sandbox\":\"sbx1\"", "\"token\":\"t\"");
    }

    @Test
    void tellsWhatIsWrongWithAnAddress() throws Exception {
        assertThat(raw("GET / HTTP/1.1\r\nHost: nowhere\r\nConnection: close\r\n\r\n")).contains("400", "Invalid host");
        assertThat(raw("GET / HTTP/1.1\r\nHost: 99999-sbx1.x\r\nConnection: close\r\n\r\n"))
                .contains("400", "Invalid sandbox port");
        assertThat(raw("GET / HTTP/1.1\r\nHost: x\r\nE2b-Sandbox-Id: sbx1\r\nConnection: close\r\n\r\n"))
                .contains("missing header: E2b-Sandbox-Port");
        HttpResponse<String> unknown = send(HttpRequest.newBuilder(
                URI.create("http://127.0.0.1:" + proxy.actualPort() + "/")).header("E2b-Sandbox-Id", "other")
                .header("E2b-Sandbox-Port", "80"));
        assertThat(unknown.statusCode()).isEqualTo(502);
        assertThat(unknown.body()).isEqualTo(
                "{\"sandboxId\":\"other\",\"message\":\"The sandbox was not found\",\"code\":502}");
        assertThat(send(to(49983, "/lost")).body()).contains("The sandbox was not found");
    }

    @Test
    void aSandboxThatIsGoneWhenItsAgentIsAskedForIsNotFound() throws Exception {
        present = false;
        assertThat(send(to(49983, "/")).statusCode()).isEqualTo(502);
        assertThat(send(to(inside.actualPort(), "/")).body()).contains("The sandbox was not found");
    }

    @Test
    void whoAsksWhetherASandboxRunsDoesNotResumeIt() throws Exception {
        assertThat(send(to(49983, "/health")).statusCode()).isEqualTo(200);
        present = false;
        assertThat(send(to(49983, "/health")).statusCode()).isEqualTo(502);
        assertThat(asked).hasValue(0);
        send(to(49983, "/metrics"));
        assertThat(asked).hasValue(1);
    }

    @Test
    void wantsTheTrafficTokenOnAllPortsButEnvds() throws Exception {
        trafficToken = Optional.of("secret");

        HttpResponse<String> without = send(to(inside.actualPort(), "/"));
        assertThat(without.statusCode()).isEqualTo(403);
        assertThat(without.body()).isEqualTo("{\"sandboxId\":\"sbx1\",\"message\":\"Sandbox is secured with traffic"
                + " access token. Token header 'e2b-traffic-access-token' is missing\",\"code\":403}");
        HttpResponse<String> wrong = send(to(inside.actualPort(), "/").header("E2B-Traffic-Access-Token", "guess"));
        assertThat(wrong.statusCode()).isEqualTo(403);
        assertThat(wrong.body()).contains("Provided token in header 'e2b-traffic-access-token' is invalid");
        assertThat(seen).isEmpty();
        assertThat(asked).as("a paused sandbox is not resumed by such requests").hasValue(0);
        assertThat(send(to(inside.actualPort(), "/").header("E2B-Traffic-Access-Token", "secret")).body())
                .isEqualTo("hello");
        assertThat(send(to(49983, "/")).statusCode()).isEqualTo(200);
    }

    @Test
    void masksTheHostThatServicesSee() throws Exception {
        maskedHost = Optional.of("localhost:${PORT}");
        String host = inside.actualPort() + "-" + ID + ".cube.localhost:8443";

        raw("GET / HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-Host: forged\r\nConnection: close\r\n\r\n");

        assertThat(nextSeen()).containsEntry("host", "localhost:" + inside.actualPort())
                .containsEntry("forwarded", host);
    }

    @Test
    void passesTrailersOn() throws Exception {
        try (var service = new ServerSocket(0)) {
            var asked = new java.util.concurrent.CompletableFuture<String>();
            Thread.startVirtualThread(() -> {
                try (var socket = service.accept()) {
                    byte[] head = new byte[4096];
                    asked.complete(new String(head, 0, socket.getInputStream().read(head), StandardCharsets.US_ASCII));
                    socket.getOutputStream().write(("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            + "2\r\nok\r\n0\r\nX-Checksum: 7\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            String answer = raw("GET / HTTP/1.1\r\nHost: x\r\nE2b-Sandbox-Id: sbx1\r\nE2b-Sandbox-Port: "
                    + service.getLocalPort() + "\r\nTE: trailers\r\nConnection: close\r\n\r\n");
            assertThat(asked.get()).contains("\r\nTE: trailers\r\n");
            assertThat(answer).containsIgnoringCase("0\r\nx-checksum: 7\r\n\r\n");
        }
    }

    @Test
    void saysThatAPortIsClosed() throws Exception {
        int free;
        try (var socket = new ServerSocket(0)) {
            free = socket.getLocalPort();
        }
        HttpResponse<String> closed = send(to(free, "/"));
        assertThat(closed.statusCode()).isEqualTo(502);
        assertThat(guest.refused).hasValue(5);
        assertThat(closed.body()).isEqualTo("{\"sandboxId\":\"sbx1\",\"message\":\"The sandbox is running but port is"
                + " not open\",\"port\":" + free + ",\"code\":502}");
        HttpResponse<String> page = send(to(free, "/").header("Accept", "text/html").header("User-Agent", "Mozilla/5"));
        assertThat(page.headers().firstValue("content-type")).contains("text/html; charset=utf-8");
        assertThat(page.body()).contains("port is not open", "<code>" + free + "</code>");
    }

    @Test
    void aServiceThatIsJustStartingIsWaitedFor() throws Exception {
        int port;
        try (var socket = new ServerSocket(0)) {
            port = socket.getLocalPort();
        }
        guest.onRefused = count -> {
            if (count == 4) {
                RequestBody.await(vertx.createHttpServer().requestHandler(request -> request.response().end("late"))
                        .listen(port, "127.0.0.1"));
            }
        };
        assertThat(send(to(port, "/")).body()).isEqualTo("late");
    }

    @Test
    void carriesBodiesBothWays() throws Exception {
        byte[] data = new byte[5_000_000];
        new Random(1).nextBytes(data);
        HttpResponse<byte[]> known = client.send(to(inside.actualPort(), "/echo")
                .PUT(HttpRequest.BodyPublishers.ofByteArray(data)).build(), HttpResponse.BodyHandlers.ofByteArray());
        assertThat(known.body()).isEqualTo(data);
        assertThat(known.headers().allValues("set-cookie")).containsExactly("a=1", "b=2");
        assertThat(nextSeen()).containsEntry("length", "5000000").containsEntry("method", "PUT");

        HttpResponse<byte[]> chunked = client.send(to(inside.actualPort(), "/echo")
                .POST(HttpRequest.BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(data))).build(),
                HttpResponse.BodyHandlers.ofByteArray());
        assertThat(chunked.body()).isEqualTo(data);
        assertThat(nextSeen()).containsEntry("encoding", "chunked");
        await().until(guest.open::isEmpty);
    }

    @Test
    void takesHttp2AndSpeaksHttp1Inside() throws Exception {
        try (var http2 = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).build()) {
            http2.send(to(inside.actualPort(), "/").build(), HttpResponse.BodyHandlers.ofString());
            HttpResponse<String> get = http2.send(to(inside.actualPort(), "/").build(),
                    HttpResponse.BodyHandlers.ofString());
            assertThat(get.version()).isEqualTo(HttpClient.Version.HTTP_2);
            assertThat(get.body()).isEqualTo("hello");
            HttpResponse<String> post = http2.send(to(inside.actualPort(), "/echo")
                    .POST(HttpRequest.BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(
                    "streamed".getBytes()))).build(), HttpResponse.BodyHandlers.ofString());
            assertThat(post.version()).isEqualTo(HttpClient.Version.HTTP_2);
            assertThat(post.body()).isEqualTo("streamed");
        }
    }

    private HttpClientRequest grpc(int port, String method) {
        return RequestBody.await(grpcCaller.request(new RequestOptions().setMethod(HttpMethod.POST)
                .setHost("127.0.0.1").setPort(proxy.actualPort()).setURI("/grpc.Echo/" + method)))
                .setChunked(true).putHeader("E2b-Sandbox-Id", ID).putHeader("E2b-Sandbox-Port", Integer.toString(port))
                .putHeader("Content-Type", "application/grpc+proto").putHeader("TE", "trailers");
    }

    private record GrpcAnswer(HttpClientResponse head, Buffer body) {}

    private GrpcAnswer callGrpc(int port, String method, byte[] data) {
        HttpClientRequest request = grpc(port, method);
        Future<GrpcAnswer> answer = request.response()
                .compose(head -> head.body().map(body -> new GrpcAnswer(head, body)));
        request.end(Buffer.buffer(data));
        return RequestBody.await(answer);
    }

    @Test
    void carriesGrpcBothWaysAtOnce() throws Exception {
        HttpClientRequest request = grpc(inside.actualPort(), "Call");
        Future<HttpClientResponse> head = request.response().onSuccess(HttpClientResponse::pause);
        request.sendHead();
        HttpClientResponse answer = RequestBody.await(head);
        assertThat(answer.getHeader("Content-Type")).isEqualTo("application/grpc");
        var received = new LinkedBlockingQueue<Buffer>();
        var ended = new CompletableFuture<Void>();
        answer.handler(received::add).endHandler(ended::complete).resume();
        for (int i = 0; i < 20; i++) {
            RequestBody.await(request.write(Buffer.buffer("message " + i)));
            assertThat(received.poll(10, TimeUnit.SECONDS)).hasToString("message " + i);
        }
        RequestBody.await(request.end());
        ended.get(10, TimeUnit.SECONDS);
        assertThat(answer.trailers().get("grpc-status")).isEqualTo("0");
        assertThat(nextSeen()).containsEntry("method", "POST").containsEntry("uri", "/grpc.Echo/Call");
        await().until(guest.open::isEmpty);
    }

    @Test
    void carriesWhateverGrpcAnswers() throws Exception {
        byte[] large = new byte[8 << 20];
        new Random(3).nextBytes(large);
        assertThat(callGrpc(inside.actualPort(), "Call", large).body().getBytes()).isEqualTo(large);
        GrpcAnswer flood = callGrpc(inside.actualPort(), "Flood", new byte[0]);
        assertThat(flood.body().length()).isEqualTo(16 << 20);
        assertThat(flood.head().trailers().get("grpc-status")).isEqualTo("0");
        assertThat(callGrpc(inside.actualPort(), "Refuse", new byte[0]).head().getHeader("grpc-status")).isEqualTo("7");
        assertThatThrownBy(() -> callGrpc(inside.actualPort(), "Break", new byte[0])).hasStackTraceContaining("reset");
        try (var service = new ServerSocket(0)) {
            Thread.startVirtualThread(() -> {
                try (var socket = service.accept()) {
                    socket.getOutputStream().write("HTTP/1.1 400 Bad Request\r\n\r\n".getBytes());
                    socket.getInputStream().readAllBytes();
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            GrpcAnswer none = callGrpc(service.getLocalPort(), "Call", new byte[0]);
            assertThat(none.head().statusCode()).isEqualTo(502);
            assertThat(none.body().toString()).contains("gave no valid answer");
        }
        await().until(guest.open::isEmpty);
    }

    @Test
    void passesOnWhatComesAsItComes() throws Exception {
        HttpResponse<InputStream> events = client.send(to(inside.actualPort(), "/events").build(),
                HttpResponse.BodyHandlers.ofInputStream());
        assertThat(new String(events.body().readNBytes(9), StandardCharsets.UTF_8)).isEqualTo("data: 1\n\n");
        nextSeen();
        events.body().close();
        assertThat(nextSeen()).containsEntry("closed", "yes");
        await().until(guest.open::isEmpty);
    }

    @Test
    void passesOnTheHeadOfAnAnswerBeforeThereIsABody() throws Exception {
        try (var service = new ServerSocket(0)) {
            var release = new CountDownLatch(1);
            Thread.startVirtualThread(() -> {
                try (var socket = service.accept()) {
                    socket.getInputStream().read(new byte[4096]);
                    socket.getOutputStream().write("HTTP/1.1 200 OK\r\nX-Early: 1\r\n\r\n".getBytes());
                    release.await();
                    socket.getOutputStream().write("late".getBytes());
                } catch (IOException | InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            });
            HttpResponse<InputStream> answer = client.send(to(service.getLocalPort(), "/").build(),
                    HttpResponse.BodyHandlers.ofInputStream());
            assertThat(answer.headers().firstValue("x-early")).contains("1");
            release.countDown();
            assertThat(answer.body().readAllBytes()).asString().isEqualTo("late");
        }
    }

    @Test
    void anAnswerMayComeBeforeTheBodyIsIn() throws Exception {
        HttpResponse<String> early = send(to(inside.actualPort(), "/early")
                .POST(HttpRequest.BodyPublishers.ofByteArray(new byte[1000])));
        assertThat(early.statusCode()).isEqualTo(413);
        assertThat(early.body()).isEqualTo("too much");
    }

    @Test
    void headsHaveNoBody() throws Exception {
        HttpResponse<String> head = answerTo("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD");
        assertThat(head.statusCode()).isEqualTo(200);
        assertThat(head.headers().firstValue("content-length")).contains("5");
        assertThat(answerTo("HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", "GET").statusCode()).isEqualTo(304);
        assertThat(answerTo("HTTP/1.1 204 No Content\r\n\r\n", "GET").statusCode()).isEqualTo(204);
    }

    @Test
    void headersForOneConnectionStayThere() throws Exception {
        HttpResponse<String> answer = answerTo("HTTP/1.1 200 OK\r\nConnection: X-Secret, close\r\nX-Secret: 1\r\n"
                + "Keep-Alive: timeout=5\r\nX-Open: 2\r\nContent-Length: 2\r\n\r\nok", "GET");
        assertThat(answer.headers().map()).containsKey("x-open").doesNotContainKeys("x-secret", "keep-alive");
    }

    @Test
    void tunnelsWebSockets() throws Exception {
        echoesMessages(inside.actualPort());
        await().until(guest.open::isEmpty);
    }

    private void echoesMessages(int port) throws InterruptedException {
        var webSockets = vertx.createWebSocketClient();
        WebSocket socket = RequestBody.await(webSockets.connect(new WebSocketConnectOptions()
                .setHost("127.0.0.1").setPort(proxy.actualPort()).setURI("/ws").addHeader("E2b-Sandbox-Id", ID)
                .addHeader("E2b-Sandbox-Port", Integer.toString(port))));
        var received = new LinkedBlockingQueue<Buffer>();
        socket.handler(received::add);
        for (int i = 0; i < 50; i++) {
            RequestBody.await(socket.write(Buffer.buffer("message " + i)));
            assertThat(received.poll(30, TimeUnit.SECONDS)).hasToString("message " + i);
        }
        RequestBody.await(socket.close());
    }

    @Test
    void speaksTlsToServicesThatDo() throws Exception {
        var certificate = SelfSignedCertificate.create();
        try {
            HttpServer secure = RequestBody.await(vertx.createHttpServer(new HttpServerOptions().setSsl(true)
                    .setKeyCertOptions(certificate.keyCertOptions())).requestHandler(this::serveInside)
                    .webSocketHandler(socket -> socket.handler(socket::write)).listen(0, "127.0.0.1"));
            tlsPorts = Set.of(secure.actualPort(), inside.actualPort());
            byte[] data = new byte[3_000_000];
            new Random(2).nextBytes(data);

            assertThat(client.send(to(secure.actualPort(), "/echo").PUT(HttpRequest.BodyPublishers.ofByteArray(data))
                    .build(), HttpResponse.BodyHandlers.ofByteArray()).body()).isEqualTo(data);
            echoesMessages(secure.actualPort());
            HttpResponse<String> plain = send(to(inside.actualPort(), "/"));
            assertThat(plain.statusCode()).isEqualTo(502);
            assertThat(plain.body()).contains("gave no valid answer");
            await().until(guest.open::isEmpty);
        } finally {
            certificate.delete();
        }
    }

    @Test
    void aServiceThatSpeaksNoHttpIsABadGateway() throws Exception {
        assertThat(answerTo("garbage\r\n\r\n").statusCode()).isEqualTo(502);
        assertThat(answerTo("").body()).contains("gave no valid answer", "\"code\":502");
        assertThat(answerTo("HTTP/1.1 200 OK\r\nX: " + "y".repeat(100_000)).statusCode()).isEqualTo(502);
        assertThat(answerTo("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").statusCode()).isEqualTo(502);
        assertThat(answerTo("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil the end").body())
                .isEqualTo("until the end");
        assertThatThrownBy(() -> answerTo("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"))
                .isInstanceOf(IOException.class);
    }

    private HttpResponse<String> answerTo(String answer) throws Exception {
        return answerTo(answer, "GET");
    }

    private HttpResponse<String> answerTo(String answer, String method) throws Exception {
        try (var service = new ServerSocket(0)) {
            Thread.startVirtualThread(() -> {
                try (var socket = service.accept()) {
                    socket.getInputStream().read(new byte[4096]);
                    socket.getOutputStream().write(answer.getBytes(StandardCharsets.ISO_8859_1));
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            return send(to(service.getLocalPort(), "/").method(method, HttpRequest.BodyPublishers.noBody()));
        }
    }

    @Test
    void holdsBackAServiceWhoseClientDoesNotRead() throws Exception {
        var written = new java.util.concurrent.atomic.AtomicLong();
        long size = 200L << 20;
        try (var service = new ServerSocket(0)) {
            Thread.startVirtualThread(() -> {
                try (var socket = service.accept()) {
                    socket.getInputStream().read(new byte[4096]);
                    socket.getOutputStream().write(("HTTP/1.1 200 OK\r\nContent-Length: " + size + "\r\n\r\n").getBytes());
                    byte[] block = new byte[1 << 16];
                    for (long left = size; left > 0; left -= block.length) {
                        socket.getOutputStream().write(block);
                        written.addAndGet(block.length);
                    }
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            HttpResponse<InputStream> slow = client.send(to(service.getLocalPort(), "/").build(),
                    HttpResponse.BodyHandlers.ofInputStream());
            await().during(Duration.ofMillis(700)).atMost(Duration.ofSeconds(30)).until(() -> written.get() < size / 2);
            assertThat(slow.body().transferTo(java.io.OutputStream.nullOutputStream())).isEqualTo(size);
        }
    }
}
