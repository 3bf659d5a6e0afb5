package dev.cube.sdk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.sdk.RecordedServer.Answer;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Snapshots and what is made of them, on the wire. The real server is met by the tests in {@code e2e/}. */
class SnapshotsTest {
    private static final String USABLE = """
            {"snapshotID":"snap1","names":["clean"],"sandboxID":"s","templateID":"t","state":"usable",
             "createdAt":"2026-01-02T03:04:05Z","writtenBytes":null,"cpuCount":2,"memoryMB":2048}""";
    private static final String DURABLE =
            USABLE.replace("\"usable\"", "\"durable\"").replace("null", "8192");

    private RecordedServer server;
    private CubeClient client;
    private Sandbox sandbox;

    @BeforeEach
    void start() throws IOException {
        server = new RecordedServer();
        client = server.client();
        server.on("/sandboxes/s/connect", 200, "{\"sandboxID\":\"s\",\"envdAccessToken\":\"token\"}");
        sandbox = client.connect("s", Duration.ofMinutes(1));
    }

    @AfterEach
    void stop() {
        client.close();
        server.close();
    }

    @Test
    void takesASnapshotThatIsUsable() {
        server.on("/sandboxes/s/snapshots", 201, USABLE);
        SnapshotInfo snapshot = sandbox.snapshot();
        assertThat(snapshot).isEqualTo(new SnapshotInfo("snap1", List.of("clean"), "s", "t",
                Instant.parse("2026-01-02T03:04:05Z"), "usable", null, null, 2, 2048));
        assertThat(snapshot.isDurable()).isFalse();
        assertThat(server.requests()).last().isEqualTo("POST /sandboxes/s/snapshots {\"durable\":false}");
    }

    @Test
    void takesANamedSnapshotThatIsDurable() {
        server.on("/sandboxes/s/snapshots", 201, DURABLE);
        SnapshotInfo snapshot = sandbox.snapshot(SnapshotOptions.DEFAULT.withName("clean").untilDurable());
        assertThat(snapshot.isDurable()).isTrue();
        assertThat(snapshot.writtenBytes()).isEqualTo(8192);
        assertThat(server.requests()).last()
                .isEqualTo("POST /sandboxes/s/snapshots {\"name\":\"clean\",\"durable\":true}");
    }

    @Test
    void looksUntilASnapshotIsDurable() {
        var looks = new AtomicInteger();
        server.on("/snapshots/clean", exchange -> Answer.of(200, looks.incrementAndGet() < 3 ? USABLE : DURABLE));
        assertThat(client.snapshots().awaitDurable("clean", Duration.ofSeconds(10)).isDurable()).isTrue();
        assertThat(looks).hasValue(3);
    }

    @Test
    void givesUpOnASnapshotThatDoesNotBecomeDurable() {
        server.on("/snapshots/snap1", 200, USABLE.replace("\"usable\"", "\"usable\",\"reason\":\"the disk is full\""));
        assertThatThrownBy(() -> client.snapshots().awaitDurable("snap1", Duration.ofMillis(5)))
                .isInstanceOf(CubeException.class).hasMessageContaining("snap1 is not durable")
                .hasMessageEndingWith(": the disk is full");
    }

    @Test
    void listsEveryPageOfTheSnapshotsOfASandbox() {
        server.on("/snapshots", exchange -> exchange.getRequestURI().getQuery().contains("nextToken")
                ? Answer.of(200, "[" + DURABLE + "]")
                : new Answer(200, "[" + USABLE + "]", Map.of("x-next-token", "more")));
        assertThat(sandbox.snapshots()).extracting(SnapshotInfo::state).containsExactly("usable", "durable");
        assertThat(client.snapshots().list()).hasSize(2);
        assertThat(server.requests()).endsWith(
                "GET /snapshots?limit=100&sandboxID=s",
                "GET /snapshots?limit=100&sandboxID=s&nextToken=more",
                "GET /snapshots?limit=100",
                "GET /snapshots?limit=100&nextToken=more");
    }

    @Test
    void deletesASnapshotWhoseNameNeedsEscaping() {
        server.on("/snapshots/", 204, "");
        client.snapshots().delete("a b/c");
        assertThat(server.requests()).last().isEqualTo("DELETE /snapshots/a%20b%2Fc");
    }

    @Test
    void rollsBack() {
        server.on("/sandboxes/s/rollback", 200, "{\"sandboxID\":\"s\"}");
        sandbox.rollback("snap1");
        assertThat(server.requests()).last().isEqualTo("POST /sandboxes/s/rollback {\"snapshotID\":\"snap1\"}");
    }

    @Test
    void reportsWhyASandboxCannotBeRolledBack() {
        server.on("/sandboxes/s/rollback", 403, "{\"code\":403,\"message\":\"snap2 is of another sandbox\"}");
        assertThatThrownBy(() -> sandbox.rollback("snap2"))
                .isInstanceOfSatisfying(CubeException.class, e -> assertThat(e.status()).isEqualTo(403))
                .hasMessage("snap2 is of another sandbox");
    }

    @Test
    void clones() {
        server.on("/sandboxes/s/clone", 201,
                "{\"sandboxes\":[{\"sandboxID\":\"a\",\"envdAccessToken\":\"ta\"},{\"sandboxID\":\"b\"}]}");
        List<Sandbox> clones = sandbox.clone(CloneOptions.of(2).withConcurrency(1).withTimeout(Duration.ofSeconds(9)));
        assertThat(clones).extracting(Sandbox::id).containsExactly("a", "b");
        assertThat(clones.getFirst().accessToken()).contains("ta");
        sandbox.clone(2);
        assertThat(server.requests()).endsWith(
                "POST /sandboxes/s/clone {\"n\":2,\"concurrency\":1,\"timeout\":9}",
                "POST /sandboxes/s/clone {\"n\":2}");
    }

    @Test
    void forksAndTellsWhichFailed() {
        server.on("/sandboxes/s/fork", 201,
                "[{\"sandbox\":{\"sandboxID\":\"a\"}},{\"error\":{\"code\":503,\"message\":\"no room\"}}]");
        assertThat(sandbox.fork(2, Duration.ofSeconds(60))).satisfiesExactly(
                made -> assertThat(made).isInstanceOfSatisfying(Fork.Made.class,
                        fork -> assertThat(fork.sandbox().id()).isEqualTo("a")),
                failed -> assertThat(failed).isInstanceOfSatisfying(Fork.Failed.class,
                        fork -> assertThat(fork.error()).hasMessage("no room")
                                .extracting(CubeException::status).isEqualTo(503)));
    }

    @Test
    void pausesAndResumes() {
        server.on("/sandboxes/s/pause", 204, "");
        server.on("/sandboxes/s/resume", 201, "{\"sandboxID\":\"s\"}");
        sandbox.pause();
        sandbox.resume(Duration.ofSeconds(90));
        assertThat(server.requests()).endsWith(
                "POST /sandboxes/s/pause {}",
                "POST /sandboxes/s/resume {\"timeout\":90}");
    }
}
