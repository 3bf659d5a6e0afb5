package dev.cube.sdk;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** An HTTP server that gives the answers it was told, and writes down what it was asked. */
final class RecordedServer implements AutoCloseable {
    static final String KEY = "key-1";

    private final HttpServer server;
    private final List<String> requests = Collections.synchronizedList(new ArrayList<>());

    interface Answers {
        Answer to(HttpExchange exchange);
    }

    record Answer(int status, String body, Map<String, String> headers) {
        static Answer of(int status, String body) {
            return new Answer(status, body, Map.of());
        }
    }

    RecordedServer() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.start();
    }

    CubeClient client() {
        return new CubeClient(new CubeConfig(URI.create("http://127.0.0.1:" + server.getAddress().getPort()), KEY,
                "cube.localhost:8443", Optional.empty(), Optional.empty(), Duration.ofSeconds(10)));
    }

    RecordedServer on(String path, int status, String body) {
        return on(path, exchange -> Answer.of(status, body));
    }

    RecordedServer on(String path, Answers answers) {
        server.createContext(path, exchange -> {
            String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
            requests.add((exchange.getRequestMethod() + " " + exchange.getRequestURI() + " " + body).strip());
            Answer answer = KEY.equals(exchange.getRequestHeaders().getFirst("X-API-KEY"))
                    ? answers.to(exchange) : Answer.of(401, "{\"message\":\"no key\"}");
            answer.headers.forEach(exchange.getResponseHeaders()::add);
            byte[] bytes = answer.body.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(answer.status, bytes.length == 0 ? -1 : bytes.length);
            exchange.getResponseBody().write(bytes);
            exchange.close();
        });
        return this;
    }

    /** Each as {@code METHOD URI BODY}. */
    List<String> requests() {
        return List.copyOf(requests);
    }

    @Override
    public void close() {
        server.stop(0);
    }
}
