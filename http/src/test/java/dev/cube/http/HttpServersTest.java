package dev.cube.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServer;
import io.vertx.core.net.OpenSSLEngineOptions;
import io.vertx.ext.web.Router;
import java.io.IOException;
import java.io.OutputStream;
import java.net.BindException;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class HttpServersTest {
    private record Greeting(String name) {}

    private final CountDownLatch gate = new CountDownLatch(1);
    private Vertx vertx;
    private HttpServer server;
    private HttpClient client;

    @BeforeEach
    void start() {
        vertx = Vertx.vertx();
        Router router = Router.router(vertx);
        router.post("/echo").handler(BlockingHandler.withBody(100_000, context ->
                context.response().end(Buffer.buffer(RequestBody.bytes(context, 100_000)))));
        router.post("/greet").handler(BlockingHandler.withBody(100, context ->
                Responses.json(context, 201, JsonBody.read(context, Greeting.class))));
        router.post("/echo-late").handler(BlockingHandler.of(context ->
                context.response().end(Buffer.buffer(RequestBody.bytes(context, 100_000)))));
        router.post("/ignore").handler(BlockingHandler.of(context -> Responses.empty(context, 204)));
        router.post("/refuse").handler(BlockingHandler.of(context -> {
            throw new HttpError(409, "not now");
        }));
        router.get("/broken").handler(BlockingHandler.of(context -> {
            throw new IllegalStateException("wires crossed");
        }));
        router.get("/slow").handler(BlockingHandler.of(context -> {
            gate.await();
            Responses.empty(context, 204);
        }));
        router.get("/fast").handler(BlockingHandler.of(context -> Responses.empty(context, 204)));
        server = HttpServers.listen(vertx, HttpServers.plain(), router, "127.0.0.1", 0);
        client = HttpClient.newHttpClient();
    }

    @AfterEach
    void stop() {
        gate.countDown();
        client.close();
        RequestBody.await(vertx.close());
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.actualPort() + path));
    }

    private HttpResponse<String> send(HttpRequest request) throws IOException, InterruptedException {
        return client.send(request, HttpResponse.BodyHandlers.ofString());
    }

    private HttpResponse<String> post(String path, String body) throws IOException, InterruptedException {
        return send(request(path).POST(HttpRequest.BodyPublishers.ofString(body)).build());
    }

    private String raw(String request) throws IOException {
        try (var socket = new Socket("127.0.0.1", server.actualPort())) {
            socket.getOutputStream().write(request.getBytes(StandardCharsets.ISO_8859_1));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
        }
    }

    @ParameterizedTest
    @EnumSource(HttpClient.Version.class)
    void bothVersionsCarryBodies(HttpClient.Version version) throws Exception {
        String body = "x".repeat(100_000);
        HttpRequest warm = request("/fast").version(version).build();
        HttpRequest echo = request("/echo").version(version).POST(HttpRequest.BodyPublishers.ofString(body)).build();

        send(warm);
        HttpResponse<String> response = send(echo);

        assertThat(response.version()).isEqualTo(version);
        assertThat(response.body()).isEqualTo(body);
    }

    @Test
    void tlsIsNotLeftToAnInterpreterOfBytecode() {
        assertThat(HttpServers.tls(Path.of("chain.pem"), Path.of("key.pem")).getSslEngineOptions())
                .as("the native library is there and loads").isInstanceOf(OpenSSLEngineOptions.class);
    }

    @ParameterizedTest
    @ValueSource(strings = {"/echo", "/echo-late"})
    void bodiesThatComeAfterTheHeadAreWaitedFor(String path) throws Exception {
        try (var socket = new Socket("127.0.0.1", server.actualPort())) {
            OutputStream out = socket.getOutputStream();
            out.write(("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nConnection: close\r\n\r\nab").getBytes(StandardCharsets.ISO_8859_1));
            Thread.sleep(50);
            out.write("cd".getBytes(StandardCharsets.ISO_8859_1));
            Thread.sleep(50);
            out.write("ef".getBytes(StandardCharsets.ISO_8859_1));

            assertThat(new String(socket.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1))
                    .startsWith("HTTP/1.1 200").endsWith("\r\n\r\nabcdef");
        }
    }

    @Test
    void bodiesOverTheLimitAreRefused() throws Exception {
        HttpResponse<String> response = post("/echo", "x".repeat(100_001));

        assertThat(response.statusCode()).isEqualTo(413);
        assertThat(response.body())
                .isEqualTo("{\"code\":413,\"message\":\"the request body is larger than 100000 bytes\"}");
        assertThat(post("/echo", "next").body()).isEqualTo("next");
    }

    @Test
    void whatAHandlerThrowsHasTheErrorShape() throws Exception {
        assertThat(post("/refuse", "{}").body()).isEqualTo("{\"code\":409,\"message\":\"not now\"}");
        HttpResponse<String> broken = send(request("/broken").build());
        assertThat(broken.statusCode()).isEqualTo(500);
        assertThat(broken.body()).contains("\"code\":500", "wires crossed");
        HttpResponse<String> malformed = post("/greet", "{\"name\":1}");
        assertThat(malformed.statusCode()).isEqualTo(400);
        assertThat(malformed.body()).isEqualTo("{\"code\":400,\"message\":\"field 'name' must be a string\"}");
    }

    @Test
    void routingErrorsHaveTheErrorShape() throws Exception {
        assertThat(send(request("/nowhere").build()).body())
                .isEqualTo("{\"code\":404,\"message\":\"no such route: GET /nowhere\"}");
        HttpResponse<String> method = send(request("/echo").DELETE().build());
        assertThat(method.statusCode()).isEqualTo(405);
        assertThat(method.body()).isEqualTo("{\"code\":405,\"message\":\"DELETE is not allowed on /echo\"}");
    }

    @Test
    void malformedRequestsAreAnswered() throws Exception {
        assertThat(raw("\0\1garbage\r\n\r\n")).startsWith("HTTP/1.").contains(" 400 ", "{\"code\":400,");
        assertThat(raw("GET /" + "x".repeat(40_000) + " HTTP/1.1\r\n\r\n")).contains(" 414 ", "{\"code\":414,");
        assertThat(raw("GET / HTTP/1.1\r\nA: " + "x".repeat(70_000) + "\r\n\r\n")).contains(" 431 ", "{\"code\":431,");
        assertThat(raw("GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).contains("\"code\":4");
    }

    @Test
    void bodyThatNobodyReadsDoesNotBlockTheConnection() throws Exception {
        String post = "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + "x".repeat(200_000);
        String last = "GET /fast HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

        assertThat(raw(post + last).split("HTTP/1.1 204", -1)).hasSize(3);
    }

    @Test
    void slowRequestHoldsUpNoOtherOnItsConnection() throws Exception {
        send(request("/fast").build());
        var slow = client.sendAsync(request("/slow").build(), HttpResponse.BodyHandlers.discarding());

        assertThat(send(request("/fast").build()).statusCode()).isEqualTo(204);
        assertThat(slow).isNotDone();
        gate.countDown();
        assertThat(slow.join().statusCode()).isEqualTo(204);
    }

    @Test
    void portInUseIsReported() {
        assertThatThrownBy(() -> HttpServers.listen(vertx, HttpServers.plain(), Router.router(vertx), "127.0.0.1",
                server.actualPort())).hasRootCauseInstanceOf(BindException.class);
    }
}
