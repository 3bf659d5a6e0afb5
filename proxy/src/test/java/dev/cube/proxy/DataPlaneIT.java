package dev.cube.proxy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.cube.envd.daemon.Envd;
import dev.cube.guest.Epoch;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.LocalAgent;
import dev.cube.http.RequestBody;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpServer;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole data plane over the real agent. Runs as root, as the agent does. */
class DataPlaneIT {
    private static final String AS_ROOT = "Basic " + Base64.getEncoder().encodeToString("root:".getBytes());

    @TempDir
    Path directory;
    private final Vertx vertx = Vertx.vertx();
    private final HttpClient client = HttpClient.newHttpClient();
    private final Envd envd = new Envd();
    private LocalAgent host;
    private volatile GuestAgent agent;
    private HttpServer server;

    @BeforeEach
    void start() throws Exception {
        host = LocalAgent.start(directory);
        agent = host.connect(new Epoch.Restored("cube-test", Map.of("SANDBOX", "1")));
        var proxy = new SandboxProxy(id -> Optional.of(new SandboxDirectory.Target(id, () -> Optional.of(agent),
                () -> Optional.of(agent), Optional.empty(), Optional.empty(), Optional.empty(), Set.of())),
                List.of(envd));
        server = RequestBody.await(vertx.createHttpServer(SandboxProxy.serverOptions().setHost("127.0.0.1").setPort(0))
                .requestHandler(proxy.handler(vertx)).listen());
    }

    @AfterEach
    void stop() throws Exception {
        client.shutdownNow();
        RequestBody.await(vertx.close());
        agent.close();
        host.close();
    }

    private HttpRequest.Builder to(int port, String path) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.actualPort() + path))
                .timeout(Duration.ofSeconds(60)).header("E2b-Sandbox-Id", "sbx").header("Authorization", AS_ROOT)
                .header("E2b-Sandbox-Port", Integer.toString(port));
    }

    private HttpResponse<String> call(String procedure, String json) throws Exception {
        return client.send(to(49983, procedure).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(json)).build(), HttpResponse.BodyHandlers.ofString());
    }

    private InputStream stream(String procedure, String json) throws Exception {
        byte[] payload = json.getBytes(StandardCharsets.UTF_8);
        byte[] frame = ByteBuffer.allocate(5 + payload.length).put((byte) 0).putInt(payload.length).put(payload)
                .array();
        return client.send(to(49983, procedure).header("Content-Type", "application/connect+json")
                .POST(HttpRequest.BodyPublishers.ofByteArray(frame)).build(),
                HttpResponse.BodyHandlers.ofInputStream()).body();
    }

    private InputStream run(String command) throws Exception {
        return stream("/process.Process/Start", "{\"process\":{\"cmd\":\"/bin/bash\",\"args\":[\"-c\",\""
                + command.replace("\\", "\\\\").replace("\"", "\\\"") + "\"]}}");
    }

    private static Optional<String> frame(InputStream input) throws IOException {
        var data = new DataInputStream(input);
        try {
            data.readUnsignedByte();
        } catch (EOFException e) {
            return Optional.empty();
        }
        byte[] payload = new byte[data.readInt()];
        data.readFully(payload);
        return Optional.of(new String(payload, StandardCharsets.UTF_8));
    }

    private static List<String> frames(InputStream input) throws IOException {
        var frames = new ArrayList<String>();
        for (var frame = frame(input); frame.isPresent(); frame = frame(input)) {
            frames.add(frame.get());
        }
        return frames;
    }

    private static String text(List<String> frames, String stream) {
        var text = new StringBuilder();
        String key = "\"" + stream + "\":\"";
        for (String frame : frames) {
            int at = frame.indexOf(key);
            if (at >= 0) {
                text.append(new String(Base64.getDecoder().decode(
                        frame.substring(at + key.length(), frame.lastIndexOf('"'))), StandardCharsets.UTF_8));
            }
        }
        return text.toString();
    }

    private static int pid(String start) {
        return Integer.parseInt(start.replaceAll("\\D", ""));
    }

    @Test
    void runsCommands() throws Exception {
        List<String> frames = frames(run("echo out; echo err >&2; echo $SANDBOX $HOME; exit 3"));
        assertThat(frames.getFirst()).matches("\\{\"event\":\\{\"start\":\\{\"pid\":\\d+}}}");
        assertThat(text(frames, "stdout")).isEqualTo("out\n1 /root\n");
        assertThat(text(frames, "stderr")).isEqualTo("err\n");
        assertThat(frames.get(frames.size() - 2)).contains("\"exitCode\":3", "exit status 3");
        assertThat(frames(run("kill -9 $$")).get(1)).contains("signal: killed", "\"exitCode\":-1");
    }

    @Test
    void losesNothingOfALot() throws Exception {
        InputStream input = run("head -c 100000000 /dev/zero");
        long total = 0;
        for (var frame = frame(input); frame.isPresent(); frame = frame(input)) {
            int at = frame.get().indexOf("\"stdout\":\"");
            if (at >= 0) {
                total += Base64.getDecoder().decode(frame.get().substring(at + 10, frame.get().lastIndexOf('"'))).length;
            }
        }
        assertThat(total).isEqualTo(100_000_000);
    }

    @Test
    void refusesWhatIsNotThere() throws Exception {
        assertThat(frames(stream("/process.Process/Start", "{\"process\":{\"cmd\":\"/bin/true\",\"cwd\":\"/no\"}}")))
                .singleElement().asString().contains("invalid_argument", "cwd '/no' does not exist");
        assertThat(call("/filesystem.Filesystem/Stat", "{\"path\":\"/no\"}").statusCode()).isEqualTo(404);
        assertThat(client.send(to(49983, "/files?path=/no&username=root").build(), HttpResponse.BodyHandlers.ofString())
                .statusCode()).isEqualTo(404);
        assertThat(client.send(to(49983, "/files?path=/no&username=nobody-here").build(),
                HttpResponse.BodyHandlers.ofString()).statusCode()).isEqualTo(401);
    }

    @Test
    void processesOutliveTheServer() throws Exception {
        InputStream before = run("read line; echo got $line; read line");
        int pid = pid(frame(before).orElseThrow());
        agent.close();
        assertThatThrownBy(() -> frames(before)).isInstanceOf(IOException.class);

        agent = host.connect(new Epoch.Reattached());
        assertThat(call("/process.Process/List", "{}").body()).contains("\"pid\":" + pid);
        InputStream after = stream("/process.Process/Connect", "{\"process\":{\"pid\":" + pid + "}}");
        assertThat(frame(after)).isPresent();
        String input = Base64.getEncoder().encodeToString("hello\n".getBytes());
        assertThat(call("/process.Process/SendInput", "{\"process\":{\"pid\":" + pid + "},\"input\":{\"stdin\":\""
                + input + "\"}}").statusCode()).isEqualTo(200);
        assertThat(frame(after).orElseThrow()).contains(Base64.getEncoder().encodeToString("got hello\n".getBytes()));
        assertThat(call("/process.Process/CloseStdin", "{\"process\":{\"pid\":" + pid + "}}").statusCode())
                .isEqualTo(200);
        assertThat(frames(after)).first().asString().contains("exit status 1");
    }

    @Test
    void movesFiles() throws Exception {
        byte[] data = new byte[20_000_000];
        new java.util.Random(3).nextBytes(data);
        Path file = directory.resolve("new/dir/file");
        String query = "/files?username=root&path=" + file;
        HttpResponse<String> written = client.send(to(49983, query).header("Content-Type", "application/octet-stream")
                .POST(HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(data))).build(),
                HttpResponse.BodyHandlers.ofString());
        assertThat(written.statusCode()).as(written.body()).isEqualTo(200);
        assertThat(Files.readAllBytes(file)).isEqualTo(data);
        assertThat(client.send(to(49983, query).build(), HttpResponse.BodyHandlers.ofByteArray()).body())
                .isEqualTo(data);

        Files.createSymbolicLink(directory.resolve("link"), Path.of("new"));
        assertThat(call("/filesystem.Filesystem/Stat", "{\"path\":\"" + directory.resolve("link") + "\"}").body())
                .contains("FILE_TYPE_DIRECTORY", "\"symlinkTarget\":\"" + directory.toRealPath().resolve("new"));
        assertThat(call("/filesystem.Filesystem/ListDir", "{\"path\":\"" + directory.resolve("link")
                + "\",\"depth\":2}").body()).contains("\"path\":\"" + directory.resolve("link/dir/file") + "\"");
        assertThat(call("/filesystem.Filesystem/MakeDir", "{\"path\":\"" + directory.resolve("new") + "\"}")
                .statusCode()).isEqualTo(409);
        assertThat(call("/filesystem.Filesystem/Move", "{\"source\":\"" + file + "\",\"destination\":\""
                + directory.resolve("a/b") + "\"}").statusCode()).isEqualTo(200);
        assertThat(directory.resolve("a/b")).exists();
        assertThat(call("/filesystem.Filesystem/Remove", "{\"path\":\"" + directory.resolve("a") + "\"}").statusCode())
                .isEqualTo(200);
        assertThat(directory.resolve("a")).doesNotExist();
        assertThat(client.send(to(49983, "/metrics").build(), HttpResponse.BodyHandlers.ofString()).body())
                .contains("\"mem_total\"");
    }

    @Test
    void reachesPorts() throws Exception {
        int port;
        try (var free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        Files.write(directory.resolve("big"), new byte[30_000_000]);
        InputStream running = run("cd " + directory + " && exec python3 -u -m http.server --bind 127.0.0.1 " + port);
        int pid = pid(frame(running).orElseThrow());
        await().atMost(Duration.ofSeconds(20)).until(() -> client.send(to(port, "/").build(),
                HttpResponse.BodyHandlers.ofString()).statusCode() == 200);
        assertThat(client.send(to(port, "/big").build(), HttpResponse.BodyHandlers.ofByteArray()).body())
                .hasSize(30_000_000);
        assertThat(call("/process.Process/SendSignal", "{\"process\":{\"pid\":" + pid
                + "},\"signal\":\"SIGNAL_SIGTERM\"}").statusCode()).isEqualTo(200);
        assertThat(frames(running)).anySatisfy(frame -> assertThat(frame).contains("signal: terminated"));
        assertThat(client.send(to(port, "/").build(), HttpResponse.BodyHandlers.ofString()).statusCode())
                .isEqualTo(502);
    }
}
