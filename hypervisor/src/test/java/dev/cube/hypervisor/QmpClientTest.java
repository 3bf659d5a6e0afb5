package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Against a peer that says what a QEMU says, and what one says that its guest took over. */
class QmpClientTest {
    private static final String GREETING = "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n";

    @TempDir
    Path directory;
    private ServerSocketChannel listener;
    private SocketChannel peer;
    private QmpClient client;

    @BeforeEach
    void connect() throws Exception {
        Path socket = directory.resolve("qmp");
        listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX).bind(UnixDomainSocketAddress.of(socket));
        CompletableFuture<QmpClient> connecting = new CompletableFuture<>();
        Thread.ofVirtual().start(() -> {
            try {
                connecting.complete(QmpClient.connect(socket, Duration.ofSeconds(10), () -> true, event -> { }));
            } catch (IOException e) {
                connecting.completeExceptionally(e);
            }
        });
        peer = listener.accept();
        say(GREETING);
        assertThat(hear()).isEqualTo("{\"execute\":\"qmp_capabilities\"}");
        say("{\"return\": {}}\r\n");
        client = connecting.get(30, TimeUnit.SECONDS);
    }

    @AfterEach
    void close() throws Exception {
        client.close();
        peer.close();
        listener.close();
    }

    private void say(String text) throws IOException {
        ByteBuffer bytes = StandardCharsets.UTF_8.encode(text);
        while (bytes.hasRemaining()) {
            peer.write(bytes);
        }
    }

    private String hear() throws IOException {
        StringBuilder line = new StringBuilder();
        ByteBuffer one = ByteBuffer.allocate(1);
        while (peer.read(one.clear()) == 1 && one.get(0) != '\n') {
            line.append((char) one.get(0));
        }
        return line.toString();
    }

    @Test
    void nothingIsUnderWayWhileItIsToBeQuiet() throws Exception {
        client.send("before");
        assertThat(hear()).isEqualTo("{\"execute\":\"before\"}");
        CompletableFuture<Void> begun = new CompletableFuture<>();
        CompletableFuture<Void> over = new CompletableFuture<>();
        CompletableFuture<String> quiet = CompletableFuture.supplyAsync(() -> {
            try {
                return client.whileQuiet(() -> {
                    begun.complete(null);
                    over.join();
                    return "done";
                });
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }, Thread::startVirtualThread);
        assertThatThrownBy(() -> begun.get(100, TimeUnit.MILLISECONDS)).isInstanceOf(TimeoutException.class);
        say("{\"return\": 1}\r\n");
        begun.get(30, TimeUnit.SECONDS);
        CompletableFuture<Void> sent = CompletableFuture.runAsync(() -> client.send("after"), Thread::startVirtualThread);
        assertThatThrownBy(() -> sent.get(100, TimeUnit.MILLISECONDS)).isInstanceOf(TimeoutException.class);
        over.complete(null);
        assertThat(quiet.get(30, TimeUnit.SECONDS)).isEqualTo("done");
        sent.get(30, TimeUnit.SECONDS);
        assertThat(hear()).isEqualTo("{\"execute\":\"after\"}");
    }

    @Test
    void answersGoToTheCommandsInOrder() throws Exception {
        CompletableFuture<JsonNode> first = client.send("first");
        CompletableFuture<JsonNode> second = client.send("second");
        assertThat(hear()).isEqualTo("{\"execute\":\"first\"}");
        assertThat(hear()).isEqualTo("{\"execute\":\"second\"}");
        say("{\"return\": 1}\r\n{\"timestamp\": {}, \"event\": \"STOP\"}\r\n{\"ret");
        say("urn\": 2}\r\n");
        assertThat(first.get(30, TimeUnit.SECONDS).asInt()).isEqualTo(1);
        assertThat(second.get(30, TimeUnit.SECONDS).asInt()).isEqualTo(2);
    }

    @Test
    void aRefusalHasQemusText() throws Exception {
        CompletableFuture<JsonNode> answer = client.send("blockdev-add");
        say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"Could not open 'x'\"}}\r\n");
        assertThatThrownBy(() -> QmpClient.await(answer, Duration.ofSeconds(30), "it"))
                .isInstanceOf(QmpException.class).hasMessage("blockdev-add: Could not open 'x'");
    }

    @Test
    void eventsReachThoseWhoWait() throws Exception {
        CompletableFuture<QmpEvent> wanted = client.next(event -> event.name().equals("RESUME"));
        say("{\"event\": \"STOP\"}\r\n{\"event\": \"RESUME\", \"data\": {\"x\": 1}}\r\n");
        assertThat(wanted.get(30, TimeUnit.SECONDS).data().path("x").asInt()).isEqualTo(1);
    }

    @Test
    void theEndOfQemuEndsAllWaiting() throws Exception {
        CompletableFuture<JsonNode> answer = client.send("stop");
        CompletableFuture<QmpEvent> event = client.next(any -> true);
        assertThat(hear()).contains("stop");
        peer.close();
        assertThat(client.closed().get(30, TimeUnit.SECONDS)).isEqualTo("QEMU closed its QMP connection");
        assertThatThrownBy(() -> answer.get(30, TimeUnit.SECONDS)).isInstanceOf(ExecutionException.class);
        assertThatThrownBy(() -> event.get(30, TimeUnit.SECONDS)).isInstanceOf(ExecutionException.class);
        assertThatThrownBy(() -> client.execute("late")).isInstanceOf(QmpException.class);
        assertThatThrownBy(() -> client.next(any -> true).get(30, TimeUnit.SECONDS)).isInstanceOf(ExecutionException.class);
    }

    @ParameterizedTest
    @ValueSource(strings = {"garbage", "{\"return\": {}}", "[]", "", "{}", "{\"event\": 3}", "{\"a\": 1} {\"b\": 2}"})
    void nonsenseEndsTheConnection(String line) throws Exception {
        say(line + "\r\n");
        assertThat(client.closed().get(30, TimeUnit.SECONDS)).startsWith("QEMU ");
    }

    @Test
    void anEndlessLineEndsTheConnection() throws Exception {
        String chunk = "x".repeat(1 << 20);
        assertThatThrownBy(() -> {
            for (int i = 0; i < 64; i++) {
                say(chunk);
            }
        }).isInstanceOf(IOException.class);
        assertThat(client.closed().get(30, TimeUnit.SECONDS)).contains("line of more than");
    }

    @Test
    void aLongLineIsTaken() throws Exception {
        CompletableFuture<JsonNode> answer = client.send("ringbuf-read");
        say("{\"return\": \"" + "y".repeat(100_000) + "\"}\r\n");
        assertThat(answer.get(30, TimeUnit.SECONDS).asText()).hasSize(100_000);
    }
}
