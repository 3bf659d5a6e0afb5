package dev.cube.envd.daemon;

import static dev.cube.envd.daemon.EnvdServer.concat;
import static dev.cube.envd.daemon.EnvdServer.frame;
import static dev.cube.envd.daemon.EnvdServer.readFrame;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import dev.cube.envd.rpc.filesystem.EventType;
import dev.cube.envd.rpc.filesystem.WatchDirRequest;
import dev.cube.envd.rpc.filesystem.WatchDirResponse;
import dev.cube.envd.rpc.process.CloseStdinRequest;
import dev.cube.envd.rpc.process.ConnectRequest;
import dev.cube.envd.rpc.process.ConnectResponse;
import dev.cube.envd.rpc.process.ListRequest;
import dev.cube.envd.rpc.process.ListResponse;
import dev.cube.envd.rpc.process.PTY;
import dev.cube.envd.rpc.process.ProcessConfig;
import dev.cube.envd.rpc.process.ProcessEvent;
import dev.cube.envd.rpc.process.ProcessInput;
import dev.cube.envd.rpc.process.ProcessSelector;
import dev.cube.envd.rpc.process.SendInputRequest;
import dev.cube.envd.rpc.process.SendSignalRequest;
import dev.cube.envd.rpc.process.Signal;
import dev.cube.envd.rpc.process.StartRequest;
import dev.cube.envd.rpc.process.StartResponse;
import dev.cube.envd.rpc.process.UpdateRequest;
import dev.cube.guest.Epoch;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.LocalAgent;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Both services as clients speak to them on the wire, over the real agent as a process of this machine. */
@Timeout(120)
class EnvdIT {
    private static final String PROCESS = "/process.Process/";
    /** The agent runs as whoever runs the test, who must be in /etc/passwd. */
    private static final String[] AS_SELF = {"Authorization",
        "Basic " + Base64.getEncoder().encodeToString((System.getProperty("user.name") + ":").getBytes())};

    @TempDir
    private Path directory;
    private LocalAgent local;
    private GuestAgent agent;
    private EnvdServer server;
    private HttpClient http2;

    @BeforeEach
    void start() {
        local = LocalAgent.start(directory);
        agent = local.connect(new Epoch.Restored("envd-test", Map.of("SANDBOX", "1")));
        server = new EnvdServer(agent, Optional.empty());
        http2 = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).build();
    }

    @AfterEach
    void stop() {
        http2.shutdownNow();
        server.close();
        agent.close();
        local.close();
    }

    private static StartRequest.Builder bash(String script) {
        return StartRequest.newBuilder().setProcess(
                ProcessConfig.newBuilder().setCmd("/bin/bash").addArgs("-c").addArgs(script).setCwd("/"));
    }

    private static ProcessSelector pid(int pid) {
        return ProcessSelector.newBuilder().setPid(pid).build();
    }

    /** A streaming call in binary protobuf, over HTTP/2. */
    private InputStream stream(String procedure, Message request, String... headers) throws Exception {
        HttpRequest.Builder builder = server.request(procedure).header("Content-Type", "application/connect+proto")
                .headers(AS_SELF).POST(HttpRequest.BodyPublishers.ofByteArray(frame(request.toByteArray())));
        if (headers.length > 0) {
            builder.headers(headers);
        }
        HttpResponse<InputStream> response = http2.send(builder.build(), HttpResponse.BodyHandlers.ofInputStream());
        assertThat(response.version()).isEqualTo(HttpClient.Version.HTTP_2);
        assertThat(response.headers().firstValue("content-type")).contains("application/connect+proto");
        return response.body();
    }

    /** A unary call in binary protobuf, over HTTP/2. */
    private HttpResponse<byte[]> call(String procedure, Message request) throws Exception {
        return http2.send(server.request(procedure).header("Content-Type", "application/proto").headers(AS_SELF)
                .POST(HttpRequest.BodyPublishers.ofByteArray(request.toByteArray())).build(),
                HttpResponse.BodyHandlers.ofByteArray());
    }

    private static Optional<byte[]> message(InputStream stream) throws IOException {
        var data = new DataInputStream(stream);
        int flags = data.readUnsignedByte();
        byte[] payload = data.readNBytes(data.readInt());
        return (flags & 2) == 0 ? Optional.of(payload) : Optional.empty();
    }

    private static ProcessEvent started(InputStream stream) throws IOException {
        return StartResponse.parseFrom(message(stream).orElseThrow()).getEvent();
    }

    private static ProcessEvent connected(InputStream stream) throws IOException {
        return ConnectResponse.parseFrom(message(stream).orElseThrow()).getEvent();
    }

    private static ProcessInput stdin(String text) {
        return ProcessInput.newBuilder().setStdin(ByteString.copyFromUtf8(text)).build();
    }

    @Test
    void everyCallOfAProcessInBinaryOverHttp2() throws Exception {
        InputStream first = stream(PROCESS + "Start", bash("read a; echo \"$a\"; read b; echo \"$b\" >&2; cat; exit 3")
                .setTag("tagged").build());
        int pid = started(first).getStart().getPid();
        ListResponse list = ListResponse.parseFrom(call(PROCESS + "List", ListRequest.getDefaultInstance()).body());
        assertThat(list.getProcessesList()).singleElement().satisfies(process -> {
            assertThat(process.getPid()).isEqualTo(pid);
            assertThat(process.getTag()).isEqualTo("tagged");
            assertThat(process.getConfig().getArgsList()).hasSize(2);
        });
        InputStream second = stream(PROCESS + "Connect", ConnectRequest.newBuilder()
                .setProcess(ProcessSelector.newBuilder().setTag("tagged")).build());
        assertThat(connected(second).getStart().getPid()).isEqualTo(pid);

        assertThat(call(PROCESS + "SendInput", SendInputRequest.newBuilder().setProcess(pid(pid))
                .setInput(stdin("one\n")).build()).statusCode()).isEqualTo(200);
        assertThat(started(first).getData().getStdout().toStringUtf8()).isEqualTo("one\n");
        assertThat(connected(second).getData().getStdout().toStringUtf8()).isEqualTo("one\n");
        call(PROCESS + "SendInput", SendInputRequest.newBuilder().setProcess(pid(pid)).setInput(stdin("two\n")).build());
        assertThat(started(first).getData().getStderr().toStringUtf8()).isEqualTo("two\n");
        assertThat(call(PROCESS + "CloseStdin", CloseStdinRequest.newBuilder().setProcess(pid(pid)).build())
                .statusCode()).isEqualTo(200);
        ProcessEvent.EndEvent end = started(first).getEnd();
        assertThat(end.getExitCode()).isEqualTo(3);
        assertThat(end.getExited()).isTrue();
        assertThat(message(first)).isEmpty();
        assertThat(connected(second).getData().getStderr().toStringUtf8()).isEqualTo("two\n");
        assertThat(connected(second).getEnd()).isEqualTo(end);
    }

    @Test
    void signalsAndTerminalsInBinaryOverHttp2() throws Exception {
        InputStream terminal = stream(PROCESS + "Start", bash("trap 'stty size; exit 7' TERM; echo ready; while :; do"
                + " read -r -t 1 _; done").setPty(PTY.newBuilder().setSize(PTY.Size.newBuilder().setCols(80).setRows(24)))
                .build());
        int pid = started(terminal).getStart().getPid();
        assertThat(started(terminal).getData().getPty().toStringUtf8()).isEqualTo("ready\r\n");
        assertThat(call(PROCESS + "Update", UpdateRequest.newBuilder().setProcess(pid(pid)).setPty(
                PTY.newBuilder().setSize(PTY.Size.newBuilder().setCols(132).setRows(50))).build()).statusCode())
                .isEqualTo(200);
        assertThat(call(PROCESS + "SendSignal", SendSignalRequest.newBuilder().setProcess(pid(pid))
                .setSignal(Signal.SIGNAL_SIGTERM).build()).statusCode()).isEqualTo(200);
        assertThat(started(terminal).getData().getPty().toStringUtf8()).isEqualTo("50 132\r\n");
        assertThat(started(terminal).getEnd().getExitCode()).isEqualTo(7);
        HttpResponse<byte[]> gone = call(PROCESS + "SendSignal", SendSignalRequest.newBuilder().setProcess(pid(pid))
                .setSignal(Signal.SIGNAL_SIGKILL).build());
        assertThat(gone.statusCode()).isEqualTo(404);
        assertThat(new String(gone.body(), StandardCharsets.UTF_8)).contains("\"not_found\"");
        int unknown = 10;
        assertThat(call(PROCESS + "SendSignal", SendSignalRequest.newBuilder().setProcess(pid(pid))
                .setSignalValue(unknown).build()).statusCode()).isEqualTo(501);
    }

    private static byte[] inputFrame(String text) {
        return frame("{\"data\":{\"input\":{\"stdin\":\"" + Base64.getEncoder().encodeToString(text.getBytes()) + "\"}}}");
    }

    private static void writeChunk(OutputStream output, byte[] data) throws IOException {
        output.write(concat((Integer.toHexString(data.length) + "\r\n").getBytes(StandardCharsets.US_ASCII), data,
                "\r\n".getBytes(StandardCharsets.US_ASCII)));
        output.flush();
    }

    @Test
    void streamedInputArrivesWhileTheStreamIsOpen() throws Exception {
        InputStream events = stream(PROCESS + "Start", bash("while read -r a; do echo \"got $a\"; done").build());
        int pid = started(events).getStart().getPid();
        /* By hand: an HTTP library may keep a message back until a buffer of its own is full. */
        try (var socket = new Socket("127.0.0.1", server.port())) {
            OutputStream input = socket.getOutputStream();
            input.write(("POST " + PROCESS + "StreamInput HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type:"
                    + " application/connect+json\r\nTransfer-Encoding: chunked\r\n" + AS_SELF[0] + ": " + AS_SELF[1]
                    + "\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
            writeChunk(input, concat(frame("{\"start\":{\"process\":{\"pid\":" + pid + "}}}"), inputFrame("one\n")));
            assertThat(started(events).getData().getStdout().toStringUtf8()).isEqualTo("got one\n");
            writeChunk(input, concat(inputFrame("tw"), frame("{\"keepalive\":{}}"), inputFrame("o\n")));
            assertThat(started(events).getData().getStdout().toStringUtf8()).isEqualTo("got two\n");
            assertThat(socket.getInputStream().available()).as("an answer before the end of the input").isZero();
            input.write("0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            assertThat(new String(socket.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1))
                    .startsWith("HTTP/1.1 200 ").contains("\0\0\0\0\2{}", "\2\0\0\0\2{}");
        }
        call(PROCESS + "CloseStdin", CloseStdinRequest.newBuilder().setProcess(pid(pid)).build());
        assertThat(started(events).getEnd().getExitCode()).isZero();
    }

    @Test
    void largeInputIsOneMessage() throws Exception {
        InputStream events = stream(PROCESS + "Start", bash("wc -c").build());
        int pid = started(events).getStart().getPid();
        int size = 20 << 20;
        assertThat(call(PROCESS + "SendInput", SendInputRequest.newBuilder().setProcess(pid(pid)).setInput(
                ProcessInput.newBuilder().setStdin(ByteString.copyFrom(new byte[size]))).build()).statusCode())
                .isEqualTo(200);
        call(PROCESS + "CloseStdin", CloseStdinRequest.newBuilder().setProcess(pid(pid)).build());
        assertThat(started(events).getData().getStdout().toStringUtf8()).isEqualTo(size + "\n");
    }

    @Test
    void anIdleProcessAndAnIdleWatchAreKeptAlive() throws Exception {
        InputStream process = stream(PROCESS + "Start", bash("sleep 1000").build(), "Keepalive-Ping-Interval", "1");
        InputStream watch = stream("/filesystem.Filesystem/WatchDir",
                WatchDirRequest.newBuilder().setPath(directory.toString()).build(), "Keepalive-Ping-Interval", "1");
        started(process);
        assertThat(WatchDirResponse.parseFrom(message(watch).orElseThrow()).hasStart()).isTrue();
        for (int i = 0; i < 2; i++) {
            assertThat(started(process).hasKeepalive()).isTrue();
            assertThat(WatchDirResponse.parseFrom(message(watch).orElseThrow()).hasKeepalive()).isTrue();
        }
        Files.createFile(directory.resolve("new"));
        var event = WatchDirResponse.parseFrom(message(watch).orElseThrow());
        while (event.hasKeepalive()) {
            event = WatchDirResponse.parseFrom(message(watch).orElseThrow());
        }
        assertThat(event.getFilesystem().getName()).isEqualTo("new");
        assertThat(event.getFilesystem().getType()).isEqualTo(EventType.EVENT_TYPE_CREATE);
    }

    @Test
    void processesAndTheirTimeLimitsOutliveTheServer() throws Exception {
        InputStream kept = stream(PROCESS + "Start", bash("read a; echo \"still $a\"").setTag("kept").build());
        InputStream limited = stream(PROCESS + "Start", bash("sleep 1000").setTag("limited").build(),
                "Connect-Timeout-Ms", "1500");
        int pid = started(kept).getStart().getPid();
        int shortLived = started(limited).getStart().getPid();
        server.close();
        agent.close();
        agent = local.connect(new Epoch.Reattached());
        server = new EnvdServer(agent, Optional.empty());

        InputStream again = stream(PROCESS + "Connect", ConnectRequest.newBuilder().setProcess(pid(pid)).build());
        assertThat(connected(again).getStart().getPid()).isEqualTo(pid);
        call(PROCESS + "SendInput", SendInputRequest.newBuilder().setProcess(pid(pid)).setInput(stdin("here\n")).build());
        assertThat(connected(again).getData().getStdout().toStringUtf8()).isEqualTo("still here\n");
        await().until(() -> ProcessHandle.of(shortLived).isEmpty());
    }

    @Test
    void aReaderThatStandsStillHoldsUpNothingElseOnItsConnection() throws Exception {
        long total = 64L << 20;
        InputStream slow = stream(PROCESS + "Start", bash("head -c " + total + " /dev/zero; echo x >&2").build());
        int pid = started(slow).getStart().getPid();
        for (int i = 0; i < 50; i++) {
            InputStream other = stream(PROCESS + "Start", bash("echo " + i).build());
            started(other);
            assertThat(started(other).getData().getStdout().toStringUtf8()).isEqualTo(i + "\n");
        }
        assertThat(ProcessHandle.of(pid)).as("it waits for its reader").isPresent();
        long received = 0;
        for (ProcessEvent event = started(slow); !event.hasEnd(); event = started(slow)) {
            received += event.getData().getStdout().size();
        }
        assertThat(received).isEqualTo(total);
    }

    @Test
    void whatIsNoRequestHarmsNobody() throws Exception {
        String head = "POST " + PROCESS + "Start HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\n"
                + AS_SELF[0] + ": " + AS_SELF[1] + "\r\n";
        String touch = new String(frame("{\"process\":{\"cmd\":\"touch\",\"args\":[\"" + directory.resolve("touched")
                + "\"],\"cwd\":\"/\"}}"), StandardCharsets.ISO_8859_1);
        for (String broken : List.of(
                "\0\1\2 not HTTP at all\r\n\r\n",
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\377\377\377\1\1\1\1\1\1",
                head + "Content-Length: 1000\r\n\r\n" + touch.substring(0, 20),
                head + "Transfer-Encoding: chunked\r\n\r\nzzz\r\n" + touch + "\r\n0\r\n\r\n",
                head + "Transfer-Encoding: chunked\r\n\r\n" + Integer.toHexString(touch.length()) + "\r\n"
                        + touch.substring(0, touch.length() - 1))) {
            try (var socket = new Socket("127.0.0.1", server.port())) {
                OutputStream output = socket.getOutputStream();
                output.write(broken.getBytes(StandardCharsets.ISO_8859_1));
                output.flush();
                socket.shutdownOutput();
                socket.getInputStream().readAllBytes();
            } catch (IOException e) {
                // The server may as well have hung up at once.
            }
        }
        assertThat(directory.resolve("touched")).doesNotExist();
        assertThat(server.json(PROCESS + "List", "{}").body()).isEqualTo("{}");
    }

    @Test
    void aLargeFilePassesBothWaysThroughLittleMemory() throws Exception {
        long size = 256L << 20;
        byte[] pattern = new byte[1 << 20];
        new Random(1).nextBytes(pattern);
        String url = "/files?path=" + directory + "/large&username=" + System.getProperty("user.name");
        long agentBefore = local.residentBytes();
        HttpRequest upload = server.request(url).header("Content-Type", "application/octet-stream")
                .POST(HttpRequest.BodyPublishers.ofByteArrays(() -> IntStream.range(0, (int) (size / pattern.length))
                        .mapToObj(i -> pattern).iterator())).build();
        assertThat(http2.send(upload, HttpResponse.BodyHandlers.ofString()).statusCode()).isEqualTo(200);
        assertThat(directory.resolve("large")).hasSize(size);
        InputStream download = http2.send(server.request(url).build(), HttpResponse.BodyHandlers.ofInputStream()).body();
        for (long at = 0; at < size; at += pattern.length) {
            assertThat(Arrays.equals(download.readNBytes(pattern.length), pattern)).as("at " + at).isTrue();
        }
        assertThat(download.read()).isEqualTo(-1);
        assertThat(local.residentBytes() - agentBefore).isLessThan(1 << 20);
    }

    @Test
    void whatAClientDidIsAmongTheEventsThatItFetchesNext() throws Exception {
        String id = server.json("/filesystem.Filesystem/CreateWatcher", "{\"path\":\"" + directory + "\"}", AS_SELF)
                .body();
        for (int i = 0; i < 50; i++) {
            server.json("/filesystem.Filesystem/MakeDir", "{\"path\":\"" + directory + "/d" + i + "\"}", AS_SELF);
            assertThat(server.json("/filesystem.Filesystem/GetWatcherEvents", id, AS_SELF).body()).isEqualTo(
                    "{\"events\":[{\"name\":\"d" + i + "\",\"type\":\"EVENT_TYPE_CREATE\"}]}");
        }
        assertThat(server.json("/filesystem.Filesystem/RemoveWatcher", id, AS_SELF).statusCode()).isEqualTo(200);
        assertThat(server.json("/filesystem.Filesystem/GetWatcherEvents", id, AS_SELF).statusCode()).isEqualTo(404);
    }

    @Test
    void aFileIsWatchedBeingUploaded() throws Exception {
        InputStream events = server.jsonStream("/filesystem.Filesystem/WatchDir",
                "{\"path\":\"" + directory + "\",\"recursive\":true,\"includeEntry\":true}", AS_SELF).body();
        assertThat(readFrame(events)).contains("{\"start\":{}}");
        HttpRequest upload = server.request("/files?path=" + directory + "/sub/file&username="
                + System.getProperty("user.name")).header("Content-Type", "application/octet-stream")
                .header("X-Metadata-Author", "somebody").POST(HttpRequest.BodyPublishers.ofString("12345")).build();
        assertThat(server.client.send(upload, HttpResponse.BodyHandlers.ofString()).body())
                .contains("\"metadata\":{\"author\":\"somebody\"}");
        String event = readFrame(events).orElseThrow();
        assertThat(event).contains("\"name\":\"sub\"", "EVENT_TYPE_CREATE", "FILE_TYPE_DIRECTORY");
        do {
            event = readFrame(events).orElseThrow();
        } while (!event.contains("EVENT_TYPE_WRITE"));
        assertThat(event).contains("\"name\":\"sub/file\"", "\"size\":\"5\"", "\"metadata\":{\"author\":\"somebody\"}");
    }
}
