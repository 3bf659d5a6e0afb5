package dev.cube.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.cubelet.OciLayout;
import dev.cube.sdk.CommandOptions;
import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.RunningCommand;
import dev.cube.sdk.Sandbox;
import dev.cube.sdk.SandboxInfo;
import dev.cube.sdk.SandboxOptions;
import dev.cube.sdk.TemplateInfo;
import dev.cube.sdk.TemplateRequest;
import java.io.IOException;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * The whole server with real VMs, of a small image. Needs QEMU and, in the directory that the system property
 * {@code cube.artifacts} names, what VMs are made with and the default image, of which a template is begun.
 */
@EnabledIfSystemProperty(named = "cube.artifacts", matches = ".+")
class ServerIT {
    private static final Path ARTIFACTS = Path.of(System.getProperty("cube.artifacts", "")).toAbsolutePath();
    private static final Duration SOON = Duration.ofSeconds(120);

    @TempDir
    private static Path temporary;
    private static Path home;
    private static ServerProcess server;
    private static CubeClient client;

    @BeforeAll
    static void startAndMakeTemplate() throws Exception {
        Path image = OciLayout.make(temporary.resolve("image"), List.of("bash", "sh", "cat", "ls", "sleep", "sync"),
                "{\"Env\": [\"PATH=/bin\"]}");
        home = temporary.resolve("home");
        start();
        var lines = new ArrayList<String>();
        TemplateInfo template = client.templates().create(new TemplateRequest("oci:" + image,
                2, 1024, 256, List.of(49983), 49983, List.of("base")));
        template = client.templates().watch(template.id(), lines::add);
        assertThat(template.state()).as(() -> String.join("\n", lines) + "\n" + server.output()).isEqualTo("READY");
    }

    private static void start() {
        server = launch().awaitReady();
        client = server.client();
    }

    private static ServerProcess launch(String... options) {
        return ServerProcess.launch(home, ARTIFACTS, temporary.resolve("server.log"), options);
    }

    private static void restart() {
        client.close();
        start();
    }

    @AfterEach
    void killSandboxes() {
        client.list().forEach(sandbox -> client.kill(sandbox.id()));
    }

    @AfterAll
    static void stop() throws Exception {
        try {
            assertThat(post("/cube/shutdown?sandboxes=kill", "").statusCode()).isEqualTo(202);
            assertThat(server.awaitExit()).isZero();
            assertThat(home.resolve("server.json")).doesNotExist();
            Awaitility.await().atMost(SOON).untilAsserted(() ->
                    assertThat(ServerProcess.machines(home)).as("QEMUs left").isEmpty());
        } finally {
            client.close();
            server.crash();
            ServerProcess.machines(home).forEach(ProcessHandle::destroyForcibly);
        }
    }

    private static HttpResponse<String> post(String path, String body) throws IOException, InterruptedException {
        try (HttpClient http = HttpClient.newHttpClient()) {
            return http.send(HttpRequest.newBuilder(URI.create(server.apiUrl() + path))
                    .POST(HttpRequest.BodyPublishers.ofString(body)).build(), HttpResponse.BodyHandlers.ofString());
        }
    }

    private static SandboxOptions fromBase() {
        return SandboxOptions.of("base");
    }

    private static List<String> listed() {
        return client.list().stream().map(SandboxInfo::id).toList();
    }

    @Test
    void sandboxLivesAndDies() {
        try (Sandbox sandbox = client.create(fromBase().withMetadata(Map.of("user", "é & co"))
                .withEnvironment(Map.of("GREETING", "hello")))) {
            assertThat(listed()).containsExactly(sandbox.id());
            assertThat(client.list(Map.of("user", "é & co"))).hasSize(1);
            assertThat(client.list(Map.of("user", "other"))).isEmpty();
            SandboxInfo info = client.get(sandbox.id());
            assertThat(info.state()).isEqualTo("running");
            assertThat(info.memoryMB()).isEqualTo(1024);

            assertThat(sandbox.commands().run("echo $GREETING; exit 3"))
                    .satisfies(result -> assertThat(result.stdout()).isEqualTo("hello\n"))
                    .satisfies(result -> assertThat(result.exitCode()).isEqualTo(3));

            client.kill(sandbox.id());
            assertThat(listed()).isEmpty();
            assertThatThrownBy(() -> client.get(sandbox.id()))
                    .isInstanceOfSatisfying(CubeException.class, e -> assertThat(e.isNotFound()).isTrue());
            assertThatThrownBy(() -> client.kill(sandbox.id()))
                    .isInstanceOfSatisfying(CubeException.class, e -> assertThat(e.isNotFound()).isTrue());
            assertThatThrownBy(() -> sandbox.commands().run("true")).isInstanceOf(CubeException.class);
        }
    }

    @Test
    void timeoutsEndSandboxes() {
        try (Sandbox brief = client.create(fromBase().withTimeout(Duration.ofSeconds(1)));
                Sandbox shortened = client.create(fromBase());
                Sandbox extended = client.create(fromBase().withTimeout(Duration.ofSeconds(2)))) {
            client.setTimeout(extended.id(), Duration.ofSeconds(300));
            client.setTimeout(shortened.id(), Duration.ofSeconds(1));

            Awaitility.await().atMost(SOON).untilAsserted(() ->
                    assertThat(listed()).doesNotContain(brief.id(), shortened.id()));
            assertThat(extended.commands().run("true").exitCode()).isZero();
        }
    }

    @Test
    void killedServerTakesUpItsSandboxesAgain() {
        // Closing them would kill them.
        Sandbox kept = client.create(fromBase());
        Sandbox brief = client.create(fromBase().withTimeout(Duration.ofSeconds(2)));
        kept.files().write("/tmp/note", "still here".getBytes(StandardCharsets.UTF_8));
        int pid;
        try (RunningCommand command = kept.commands().start("sleep 1000", CommandOptions.DEFAULT)) {
            pid = command.pid();
        }

        server.crash();
        Awaitility.await().pollDelay(Duration.ofSeconds(2)).until(() -> true);
        restart();

        assertThat(listed()).as(server::output).containsExactly(kept.id());
        assertThatThrownBy(() -> client.get(brief.id())).isInstanceOf(CubeException.class);
        try (Sandbox again = client.connect(kept.id(), Duration.ofMinutes(5))) {
            assertThat(again.commands().list()).contains(pid);
            assertThat(again.commands().run("cat /tmp/note").stdout()).isEqualTo("still here");
        }
        try (Sandbox fresh = client.create(fromBase())) {
            assertThat(fresh.commands().run("test -e /tmp/note").exitCode()).isEqualTo(1);
        }
    }

    @Test
    void killedServerLeavesNothingOfATemplateThatItWasMaking() {
        TemplateInfo half = client.templates().create(new TemplateRequest("oci:" + ARTIFACTS.resolve("sandbox-code"),
                2, 1024, 256, List.of(), null, List.of("half")));
        Path files = home.resolve("templates").resolve(half.id());
        Awaitility.await().atMost(SOON).pollInterval(Duration.ofMillis(20)).until(() -> isUnpacking(files));

        server.crash();
        assertThat(isUnpacking(files)).isTrue();
        restart();

        assertThat(client.templates().get(half.id()).state()).isEqualTo("FAILED");
        assertThat(files).doesNotExist();
        client.templates().delete(half.id());
        try (Sandbox fresh = client.create(fromBase())) {
            assertThat(fresh.commands().run("true").exitCode()).isZero();
        }
    }

    /** Whether a part of an image lies in a staging directory beside the template's base disk. */
    private static boolean isUnpacking(Path files) {
        try (DirectoryStream<Path> staging = Files.newDirectoryStream(files, ".base.img.*")) {
            for (Path directory : staging) {
                if (Files.exists(directory.resolve("root/usr"))) {
                    return true;
                }
            }
            return false;
        } catch (IOException e) {
            return false;
        }
    }

    @Test
    void stoppedServerLeavesSandboxesRunning() {
        String id = client.create(fromBase()).id();

        server.stop();
        assertThat(home.resolve("server.json")).doesNotExist();
        restart();

        assertThat(listed()).as(server::output).containsExactly(id);
        try (Sandbox sandbox = client.connect(id, Duration.ofMinutes(5))) {
            assertThat(sandbox.commands().run("echo on").stdout()).isEqualTo("on\n");
        }
    }

    @Test
    void deadVmIsReported() {
        try (Sandbox sandbox = client.create(fromBase())) {
            List<ProcessHandle> before = ServerProcess.machines(home);
            sandbox.commands().run("sync");
            before.forEach(ProcessHandle::destroyForcibly);

            Awaitility.await().atMost(SOON).untilAsserted(() -> assertThat(listed()).isEmpty());
            assertThatThrownBy(() -> sandbox.commands().run("true")).isInstanceOf(CubeException.class);
        }
        try (Sandbox fresh = client.create(fromBase())) {
            assertThat(fresh.commands().run("true").exitCode()).isZero();
        }
    }

    @Test
    void impossibleRequestsAreRefusedAndLeaveNothing() throws Exception {
        assertThat(post("/sandboxes", "{\"templateID\":\"nope\"}").statusCode()).isEqualTo(404);
        assertThat(post("/sandboxes", "{\"templateID\":\"base\"").statusCode()).isEqualTo(400);
        assertThat(post("/sandboxes", "{\"templateID\":\"base\",\"timeout\":1e99}").statusCode()).isEqualTo(400);
        assertThat(post("/sandboxes", "{\"templateID\":\"" + "x".repeat(2 << 20) + "\"}").statusCode()).isEqualTo(413);
        assertThat(listed()).isEmpty();

        TemplateInfo failed = client.templates().create(new TemplateRequest("oci:" + temporary.resolve("no-image"), 1,
                512, 256, List.of(), null, List.of("broken")));
        failed = client.templates().watch(failed.id(), line -> { });
        assertThat(failed.state()).isEqualTo("FAILED");
        assertThat(failed.reason()).contains("no-image");
        String failedId = failed.id();
        assertThatThrownBy(() -> client.create(SandboxOptions.of(failedId))).isInstanceOf(CubeException.class);
        client.templates().delete(failedId);
        assertThat(home.resolve("templates").resolve(failedId)).doesNotExist();
    }

    @Test
    void garbageHarmsNobody() throws Exception {
        var random = new Random(42);
        try (Sandbox sandbox = client.create(fromBase())) {
            for (int port : new int[] {server.apiUrl().getPort(), server.proxyUrl().getPort()}) {
                for (int i = 0; i < 20; i++) {
                    try (var socket = new Socket("127.0.0.1", port)) {
                        byte[] garbage = new byte[random.nextInt(100_000)];
                        random.nextBytes(garbage);
                        socket.getOutputStream().write(garbage);
                    } catch (IOException e) {
                        // Cut off, as it should be.
                    }
                }
            }
            assertThat(sandbox.commands().run("echo fine").stdout()).isEqualTo("fine\n");
        }
    }

    @Test
    void homeIsOneServersOnly() {
        ServerProcess second = ServerProcess.launch(home, ARTIFACTS, temporary.resolve("second.log"));

        assertThat(second.awaitExit()).isEqualTo(1);
        assertThat(second.output()).isEqualTo("cube-server: a server is running on " + home
                + ": stop it, or name another directory with --home or CUBE_HOME\n");
        assertThat(server.description().path("pid").asLong()).isPositive();
    }

    @Test
    void whatIsMissingIsSaidInOneLine(@TempDir Path other) throws Exception {
        Path log = other.resolve("log");
        ServerProcess without = ServerProcess.launch(other.resolve("home"), Files.createDirectory(other.resolve("none")),
                log);

        assertThat(without.awaitExit()).isEqualTo(1);
        assertThat(without.output().lines().filter(line -> line.startsWith("cube-server: ")))
                .singleElement().asString().contains(other.resolve("none").toString());
        assertThat(without.output()).doesNotContain("\tat ");
    }

    @Test
    void keysAreRequiredBeyondLoopback(@TempDir Path other) throws Exception {
        Path otherHome = Files.createDirectory(other.resolve("home"));
        // What this machine can do is known, which saves a boot.
        Files.copy(home.resolve("accelerator.json"), otherHome.resolve("accelerator.json"));
        ServerProcess open = ServerProcess.launch(otherHome, ARTIFACTS, other.resolve("log"), "--api-host", "0.0.0.0");
        try {
            open.awaitReady();
            try (CubeClient stranger = open.client("wrong");
                    CubeClient owner = open.client(Files.readString(otherHome.resolve("api-key")).strip())) {
                assertThatThrownBy(stranger::list)
                        .isInstanceOfSatisfying(CubeException.class, e -> assertThat(e.status()).isEqualTo(401));
                assertThat(owner.list()).isEmpty();
            }
        } finally {
            open.stop();
            Awaitility.await().atMost(SOON).until(() -> ServerProcess.machines(otherHome).isEmpty());
        }
    }
}
