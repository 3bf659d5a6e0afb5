package dev.cube.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Against servers that misbehave in ways which a real registry cannot be made to. */
class RegistryStoreTest {
    private static final byte[] BLOB = "0123456789".repeat(10_000).getBytes();
    private static final Descriptor DESCRIPTOR = new Descriptor("", Digest.sha256(BLOB), BLOB.length);

    private HttpServer registry;
    private HttpServer storage;
    private final List<String> requests = new CopyOnWriteArrayList<>();

    @BeforeEach
    void start() throws IOException {
        registry = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 0);
        storage = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 0);
        registry.start();
        storage.start();
    }

    @AfterEach
    void stop() {
        registry.stop(0);
        storage.stop(0);
    }

    @FunctionalInterface
    private interface Handler {
        void handle(HttpExchange exchange) throws IOException;
    }

    private void serve(HttpServer server, Handler handler) {
        server.createContext("/", exchange -> {
            try (exchange) {
                requests.add("%s auth=%s range=%s".formatted(exchange.getRequestURI().getPath().replaceAll(".*/", ""),
                        exchange.getRequestHeaders().getFirst("Authorization"),
                        exchange.getRequestHeaders().getFirst("Range")));
                handler.handle(exchange);
            }
        });
    }

    private static void answer(HttpExchange exchange, int status, byte[] body) throws IOException {
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        exchange.getResponseBody().write(body);
    }

    private RegistryStore store() {
        String host = "127.0.0.1:" + registry.getAddress().getPort();
        return new RegistryStore(new ImageReference.Registry(host, "a/b", "latest"),
                name -> Optional.of(new RegistryCredentials.Login("u", "p", Optional.empty())), Duration.ofMillis(1));
    }

    private byte[] fetch() throws IOException {
        try (RegistryStore store = store(); InputStream in = new VerifyingInputStream(
                store.open(DESCRIPTOR, ContentStore.Kind.BLOB), "blob", DESCRIPTOR.digest(), DESCRIPTOR.size())) {
            return in.readAllBytes();
        }
    }

    @Test
    void storageDoesNotSeeTheRegistrysLogin() throws IOException {
        serve(registry, exchange -> {
            if (exchange.getRequestHeaders().getFirst("Authorization") == null) {
                exchange.getResponseHeaders().set("WWW-Authenticate", "Basic realm=\"r\"");
                answer(exchange, 401, new byte[0]);
            } else {
                exchange.getResponseHeaders().set("Location",
                        "http://127.0.0.1:" + storage.getAddress().getPort() + "/stored");
                answer(exchange, 307, new byte[0]);
            }
        });
        serve(storage, exchange -> answer(exchange, 200, BLOB));

        assertThat(fetch()).isEqualTo(BLOB);
        String name = DESCRIPTOR.digest().toString();
        assertThat(requests).containsExactly(name + " auth=null range=null", name + " auth=Basic dTpw range=null",
                "stored auth=null range=null");
    }

    @Test
    void goesOnWhereATransferBroke() throws IOException {
        AtomicInteger count = new AtomicInteger();
        serve(registry, exchange -> {
            int start = Optional.ofNullable(exchange.getRequestHeaders().getFirst("Range"))
                    .map(range -> Integer.parseInt(range.replaceAll("\\D", ""))).orElse(0);
            // The second time the server knows nothing of ranges.
            boolean partial = start > 0 && count.get() != 1;
            int from = partial ? start : 0;
            if (partial) {
                exchange.getResponseHeaders().set("Content-Range",
                        "bytes %d-%d/%d".formatted(from, BLOB.length - 1, BLOB.length));
            }
            exchange.sendResponseHeaders(partial ? 206 : 200, BLOB.length - from);
            int end = Math.min(BLOB.length, (count.incrementAndGet()) * 30_000);
            exchange.getResponseBody().write(BLOB, from, end - from);
            exchange.getResponseBody().flush();
        });

        assertThat(fetch()).isEqualTo(BLOB);
        assertThat(count).hasValue(4);
        assertThat(requests.getLast()).doesNotContain("range=null");
    }

    @Test
    void triesAgainWhenTheServerIsBusy() throws IOException {
        AtomicInteger count = new AtomicInteger();
        serve(registry, exchange -> answer(exchange, count.incrementAndGet() < 3 ? 503 : 200, BLOB));
        assertThat(fetch()).isEqualTo(BLOB);

        count.set(-100);
        assertThatThrownBy(this::fetch).isInstanceOf(ImageException.class).hasMessageContaining("status 503");
    }

    @Test
    void wrongContentIsFound() {
        List<byte[]> contents = new ArrayList<>(List.of(Arrays.copyOf(BLOB, BLOB.length - 1), Arrays.copyOf(BLOB, BLOB.length + 1)));
        byte[] changed = BLOB.clone();
        changed[5] = 'x';
        contents.add(changed);
        AtomicInteger which = new AtomicInteger();
        serve(registry, exchange -> answer(exchange, 200, contents.get(which.get())));
        for (String reason : List.of("bytes instead of", "larger than", "is damaged")) {
            assertThatThrownBy(this::fetch).isInstanceOf(ImageException.class).hasMessageContaining(reason);
            which.incrementAndGet();
        }
    }

    @Test
    void manifestMustBeWhatTheRegistrySaysItIs() {
        serve(registry, exchange -> {
            exchange.getResponseHeaders().set("Docker-Content-Digest", Digest.sha256(new byte[1]).toString());
            answer(exchange, 200, "{}".getBytes());
        });
        assertThatThrownBy(() -> {
            try (RegistryStore store = store()) {
                store.root();
            }
        }).isInstanceOf(ImageException.class).hasMessageContaining("is damaged");
    }

    @Test
    void redirectsEndAndStayEncrypted() {
        String[] location = {"/again"};
        serve(registry, exchange -> {
            exchange.getResponseHeaders().set("Location", location[0]);
            answer(exchange, 302, new byte[0]);
        });
        assertThatThrownBy(this::fetch).hasMessageContaining("redirects more than 5 times");
        for (String bad : List.of("http://storage.example/x", "file:///etc/passwd", "http://[bad")) {
            location[0] = bad;
            assertThatThrownBy(this::fetch).isInstanceOf(ImageException.class).hasMessageContaining("redirect");
        }
    }
}
