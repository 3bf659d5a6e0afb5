package dev.cube.envd.daemon;

import static dev.cube.envd.daemon.EnvdServer.concat;
import static dev.cube.envd.daemon.EnvdServer.frame;
import static dev.cube.envd.daemon.EnvdServer.readFrame;
import static dev.cube.envd.daemon.EnvdServer.readFrames;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.ByteString;
import dev.cube.envd.rpc.process.ListRequest;
import dev.cube.envd.rpc.process.ListResponse;
import dev.cube.envd.rpc.process.ProcessConfig;
import dev.cube.envd.rpc.process.StartRequest;
import dev.cube.envd.rpc.process.StartResponse;
import dev.cube.guest.ProcessEvent;
import dev.cube.guest.ProcessSpec;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class ProcessTest extends EnvdFixture {
    private static final String START = "/process.Process/Start";
    private static final String CONNECT = "/process.Process/Connect";
    private static final String RUN_LS = "{\"process\":{\"cmd\":\"/bin/bash\",\"args\":[\"-l\",\"-c\",\"ls\"]}}";
    private static final String AS_ROOT = "Basic " + Base64.getEncoder().encodeToString("root:".getBytes());

    private static String base64(String text) {
        return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void startTellsPidThenOutputThenEnd() throws Exception {
        InputStream events = server.jsonStream(START, RUN_LS, "Authorization", AS_ROOT).body();
        ScriptedProcess process = guest.nextStarted();
        process.prints("hello\n").prints(ProcessEvent.Stream.STDERR, "oops".getBytes(StandardCharsets.UTF_8)).exits(3);

        assertThat(readFrames(events)).containsExactly(
                "{\"event\":{\"start\":{\"pid\":101}}}",
                "{\"event\":{\"data\":{\"stdout\":\"" + base64("hello\n") + "\"}}}",
                "{\"event\":{\"data\":{\"stderr\":\"" + base64("oops") + "\"}}}",
                "{\"event\":{\"end\":{\"exitCode\":3,\"exited\":true,\"status\":\"exit status 3\","
                        + "\"error\":\"exit status 3\"}}}",
                "end:{}");
        assertThat(process.spec).isEqualTo(new ProcessSpec("/bin/bash", List.of("-l", "-c", "ls"), Map.of(),
                Optional.empty(), "root", Optional.empty(), Optional.empty(), true));
        assertThat(server.log).containsExactly("sandbox1 started 101: /bin/bash [-l, -c, ls]",
                "sandbox1 ended 101: exit status 3");
    }

    @Test
    void startArrivesBeforeTheProcessSaysAnything() throws Exception {
        InputStream events = server.jsonStream(START, RUN_LS).body();
        assertThat(readFrame(events)).contains("{\"event\":{\"start\":{\"pid\":101}}}");
        guest.nextStarted().exits(0);
        assertThat(readFrames(events)).containsExactly(
                "{\"event\":{\"end\":{\"exited\":true,\"status\":\"exit status 0\"}}}", "end:{}");
    }

    @Test
    void tellsOfSignalsAsGoDoes() throws Exception {
        InputStream events = server.jsonStream(START, RUN_LS).body();
        guest.nextStarted().dies(9);
        assertThat(readFrames(events)).contains("{\"event\":{\"end\":{\"exitCode\":-1,"
                + "\"status\":\"signal: killed\",\"error\":\"signal: killed\"}}}");
    }

    @Test
    void speaksBinaryProtobuf() throws Exception {
        byte[] request = StartRequest.newBuilder().setStdin(false).setTag("t").setProcess(ProcessConfig.newBuilder()
                .setCmd("cat").setCwd("~/").putEnvs("A", "1")).build().toByteArray();
        HttpResponse<InputStream> response = server.stream(START, "proto", frame(request));
        guest.nextStarted().prints(ProcessEvent.Stream.PTY, new byte[] {0, -1, 5}).exits(0);
        assertThat(response.headers().firstValue("content-type")).contains("application/connect+proto");

        var input = new DataInputStream(response.body());
        assertThat(input.readUnsignedByte()).isZero();
        assertThat(StartResponse.parseFrom(input.readNBytes(input.readInt())).getEvent().getStart().getPid())
                .isEqualTo(101);
        assertThat(input.readUnsignedByte()).isZero();
        assertThat(StartResponse.parseFrom(input.readNBytes(input.readInt())).getEvent().getData().getPty())
                .isEqualTo(ByteString.copyFrom(new byte[] {0, -1, 5}));

        HttpResponse<byte[]> list = server.client.send(server.request("/process.Process/List")
                .header("Content-Type", "application/proto")
                .POST(HttpRequest.BodyPublishers.ofByteArray(ListRequest.getDefaultInstance().toByteArray())).build(),
                HttpResponse.BodyHandlers.ofByteArray());
        var listed = ListResponse.parseFrom(list.body()).getProcesses(0);
        assertThat(listed.getConfig().getCmd()).isEqualTo("cat");
        assertThat(listed.getConfig().getCwd()).isEqualTo("/home/user");
        assertThat(listed.getConfig().getEnvsMap()).containsEntry("A", "1");
        assertThat(listed.getTag()).isEqualTo("t");
    }

    @Test
    void refusesUnknownUsersAndDirectories() throws Exception {
        String nobody = "Basic " + Base64.getEncoder().encodeToString("nobody:".getBytes());
        assertThat(readFrames(server.jsonStream(START, RUN_LS, "Authorization", nobody).body())).containsExactly(
                "end:{\"error\":" + error("unauthenticated", "invalid username: 'nobody'") + "}");
        assertThat(readFrames(server.jsonStream(START,
                "{\"process\":{\"cmd\":\"ls\",\"cwd\":\"/nowhere\"}}").body())).containsExactly(
                "end:{\"error\":" + error("invalid_argument", "cwd '/nowhere' does not exist") + "}");
    }

    /** Jackson orders the two as they come out of the map, so compare without regard to order. */
    private static String error(String code, String message) {
        var ordered = Map.of("code", code, "message", message);
        return "{" + String.join(",", ordered.entrySet().stream()
                .map(e -> "\"" + e.getKey() + "\":\"" + e.getValue() + "\"").toList()) + "}";
    }

    @Test
    void twoClientsGetTheSameAndALateOneWhatComesAfterIt() throws Exception {
        InputStream first = server.jsonStream(START, RUN_LS).body();
        ScriptedProcess process = guest.nextStarted();
        process.prints("one");
        assertThat(readFrame(first)).isPresent();
        assertThat(readFrame(first).orElseThrow()).contains(base64("one"));

        InputStream second = server.jsonStream(CONNECT, "{\"process\":{\"pid\":101}}").body();
        assertThat(readFrame(second)).contains("{\"event\":{\"start\":{\"pid\":101}}}");
        process.prints("two").exits(0);

        assertThat(readFrames(first)).hasSize(3).element(0).asString().contains(base64("two"));
        assertThat(readFrames(second)).hasSize(3).element(0).asString().contains(base64("two"));
        assertThat(guest.attached).hasValue(0);
    }

    @Test
    void aProcessOutlivesItsClientAndCanBeConnectedToAgain() throws Exception {
        HttpResponse<InputStream> first = server.jsonStream(START, "{\"tag\":\"bg\",\"process\":{\"cmd\":\"x\"}}");
        ScriptedProcess process = guest.nextStarted();
        assertThat(readFrame(first.body())).isPresent();
        first.body().close();

        byte[] lots = new byte[64 * 1024];
        for (int i = 0; i < 100; i++) {
            process.prints(ProcessEvent.Stream.STDOUT, lots);
        }
        // With nobody there, output is dropped and the process goes on.
        await().until(() -> process.taken.get() == 100);
        assertThat(process.closed).isFalse();

        InputStream again = server.jsonStream(CONNECT, "{\"process\":{\"tag\":\"bg\"}}").body();
        assertThat(readFrame(again)).isPresent();
        process.prints("later").exits(0);
        assertThat(readFrames(again)).hasSize(3).element(0).asString().contains(base64("later"));
        assertThat(process.closed).isTrue();
    }

    @Test
    void aSlowClientHoldsTheProcessBackAndNothingElse() throws Exception {
        InputStream events = server.jsonStream(START, RUN_LS).body();
        ScriptedProcess process = guest.nextStarted();
        assertThat(readFrame(events)).isPresent();
        byte[] block = new byte[64 * 1024];
        int blocks = 2000;
        for (int i = 0; i < blocks; i++) {
            process.prints(ProcessEvent.Stream.STDOUT, block);
        }
        process.exits(0);
        // What is under way fits in socket buffers, the write window and the subscription: a few megabytes of 125.
        await().during(java.time.Duration.ofMillis(500)).until(() -> process.taken.get() < blocks / 2);
        assertThat(server.json("/process.Process/List", "{}").statusCode()).isEqualTo(200);

        long received = 0;
        for (var frame = readFrame(events); frame.isPresent(); frame = readFrame(events)) {
            int at = frame.get().indexOf("\"stdout\":\"");
            if (at >= 0) {
                received += Base64.getDecoder().decode(
                        frame.get().substring(at + 10, frame.get().lastIndexOf('"'))).length;
            }
        }
        assertThat(received).isEqualTo((long) blocks * block.length);
    }

    @Test
    void aClientThatIsGoneHoldsNothingBack() throws Exception {
        try (var socket = new Socket("127.0.0.1", server.port())) {
            byte[] body = frame(RUN_LS);
            socket.getOutputStream().write(("POST " + START + " HTTP/1.1\r\nHost: x\r\nContent-Type:"
                    + " application/connect+json\r\nContent-Length: " + body.length + "\r\n\r\n")
                    .getBytes(StandardCharsets.US_ASCII));
            socket.getOutputStream().write(body);
            socket.getInputStream().read();
        }
        ScriptedProcess process = guest.nextStarted();
        for (int i = 0; i < 200; i++) {
            process.prints(ProcessEvent.Stream.STDOUT, new byte[64 * 1024]);
        }
        await().until(() -> process.taken.get() == 200);
    }

    @Test
    void keepsAnIdleStreamAlive() throws Exception {
        InputStream events = server.jsonStream(START, RUN_LS, "Keepalive-Ping-Interval", "1").body();
        assertThat(readFrame(events)).isPresent();
        assertThat(readFrame(events)).contains("{\"event\":{\"keepalive\":{}}}");
        guest.nextStarted().exits(0);
        assertThat(readFrames(events)).last().isEqualTo("end:{}");
    }

    @Test
    void aTimeoutKillsTheProcess() throws Exception {
        InputStream events = server.jsonStream(START, RUN_LS, "Connect-Timeout-Ms", "300").body();
        ScriptedProcess process = guest.nextStarted();
        await().until(() -> process.signals.contains(9));
        assertThat(readFrames(events)).hasSizeGreaterThanOrEqualTo(2).last().asString().contains("deadline_exceeded");
        assertThat(process.spec.timeout()).as("the guest's own, for when nobody is there")
                .contains(Duration.ofMillis(1300));
        assertThat(server.json("/process.Process/List", "{}", "Connect-Timeout-Ms", "1x").body())
                .contains("invalid_argument");
    }

    @Test
    void takesInputOneByOneAndAsAStream() throws Exception {
        InputStream events = server.jsonStream(START, RUN_LS).body();
        ScriptedProcess process = guest.nextStarted();
        assertThat(readFrame(events)).isPresent();
        assertThat(server.json("/process.Process/SendInput", "{\"process\":{\"pid\":101},\"input\":{\"stdin\":\""
                + base64("a") + "\"}}").statusCode()).isEqualTo(200);
        byte[] frames = concat(frame("{\"start\":{\"process\":{\"pid\":101}}}"),
                frame("{\"data\":{\"input\":{\"stdin\":\"" + base64("b") + "\"}}}"), frame("{\"keepalive\":{}}"),
                frame("{\"data\":{\"input\":{\"stdin\":\"" + base64("c") + "\"}}}"));
        assertThat(readFrames(server.stream("/process.Process/StreamInput", "json", frames).body()))
                .containsExactly("{}", "end:{}");
        assertThat(process.written()).isEqualTo("abc");

        assertThat(server.json("/process.Process/CloseStdin", "{\"process\":{\"pid\":101}}").statusCode())
                .isEqualTo(200);
        HttpResponse<String> refused = server.json("/process.Process/SendInput",
                "{\"process\":{\"pid\":101},\"input\":{\"stdin\":\"YQ==\"}}");
        assertThat(refused.statusCode()).isEqualTo(500);
        assertThat(refused.body()).contains("\"internal\"", "error writing to stdin: stdin not enabled or closed");
        process.exits(0);

        server.jsonStream(START, "{\"process\":{\"cmd\":\"x\"},\"stdin\":false}");
        guest.nextStarted();
        assertThat(server.json("/process.Process/SendInput",
                "{\"process\":{\"pid\":102},\"input\":{\"stdin\":\"YQ==\"}}").body()).contains("stdin not enabled");
    }

    @Test
    void resizesTerminals() throws Exception {
        server.jsonStream(START, "{\"process\":{\"cmd\":\"bash\"},\"pty\":{\"size\":{\"cols\":80,\"rows\":24}}}");
        ScriptedProcess process = guest.nextStarted();
        assertThat(process.spec.pty()).contains(new ProcessSpec.PtySize(80, 24));
        assertThat(server.json("/process.Process/Update",
                "{\"process\":{\"pid\":101},\"pty\":{\"size\":{\"cols\":100,\"rows\":30}}}").statusCode()).isEqualTo(200);
        assertThat(process.size).isEqualTo(new ProcessSpec.PtySize(100, 30));
        assertThat(server.json("/process.Process/SendInput",
                "{\"process\":{\"pid\":101},\"input\":{\"stdin\":\"YQ==\"}}").body()).contains("not the stdin");
        process.exits(0);
    }

    @Test
    void signals() throws Exception {
        InputStream events = server.jsonStream(START, RUN_LS).body();
        ScriptedProcess process = guest.nextStarted();
        assertThat(server.json("/process.Process/SendSignal",
                "{\"process\":{\"pid\":101},\"signal\":\"SIGNAL_SIGKILL\"}").statusCode()).isEqualTo(200);
        assertThat(readFrames(events)).element(1).asString().contains("signal: killed");
        assertThat(process.signals).containsExactly(9);
        HttpResponse<String> unknown = server.json("/process.Process/SendSignal",
                "{\"process\":{\"pid\":7},\"signal\":\"SIGNAL_SIGTERM\"}");
        assertThat(unknown.statusCode()).isEqualTo(404);
        assertThat(unknown.body()).contains("\"not_found\"", "process with pid 7 not found");
        assertThat(server.json("/process.Process/SendSignal", "{\"process\":{\"pid\":101}}").statusCode())
                .isEqualTo(501);
    }

    @Test
    void takesUpProcessesThatWereThereBefore() throws Exception {
        guest.start(new ProcessSpec("old", List.of(), Map.of(), Optional.empty(), "user", Optional.of("old"),
                Optional.empty(), true));
        ScriptedProcess process = guest.nextStarted();
        InputStream byTag = server.jsonStream(CONNECT, "{\"process\":{\"tag\":\"old\"}}").body();
        assertThat(readFrame(byTag)).contains("{\"event\":{\"start\":{\"pid\":101}}}");
        InputStream byPid = server.jsonStream(CONNECT, "{\"process\":{\"pid\":101}}").body();
        assertThat(readFrame(byPid)).isPresent();
        process.prints("x").exits(0);
        assertThat(readFrames(byTag)).hasSize(3);
        assertThat(readFrames(byPid)).hasSize(3);
        assertThat(guest.attached).hasValue(1);
    }

    @Test
    void theEndCanBeAskedForAfterwards() throws Exception {
        InputStream events = server.jsonStream(START, RUN_LS).body();
        ScriptedProcess process = guest.nextStarted();
        process.exits(5);
        readFrames(events);
        guest.processes.clear();
        assertThat(readFrames(server.jsonStream(CONNECT, "{\"process\":{\"pid\":101}}").body())).hasSize(3)
                .element(1).asString().contains("exit status 5");
        assertThat(server.json("/process.Process/SendInput",
                "{\"process\":{\"pid\":101},\"input\":{\"stdin\":\"YQ==\"}}").statusCode()).isEqualTo(404);
    }

    @Test
    void aLostGuestTakesItsStreamsWithIt() throws Exception {
        InputStream events = server.jsonStream(START, RUN_LS).body();
        assertThat(readFrame(events)).isPresent();
        guest.nextStarted().isLost();
        assertThatThrownBy(() -> readFrame(events)).isInstanceOf(IOException.class);
    }

    @Test
    void theHostsOwnProcessesAreNotForClients() throws Exception {
        guest.start(new ProcessSpec("python3", List.of(), Map.of(), Optional.empty(), "user",
                Optional.of("cube-interpreter/1 x"), Optional.empty(), true));
        assertThat(server.json("/process.Process/List", "{}").body()).isEqualTo("{}");
        assertThat(server.json("/process.Process/SendSignal",
                "{\"process\":{\"pid\":101},\"signal\":\"SIGNAL_SIGKILL\"}").statusCode()).isEqualTo(404);
        assertThat(readFrames(server.jsonStream(START,
                "{\"tag\":\"cube-interpreter/1\",\"process\":{\"cmd\":\"x\"}}").body()).getFirst())
                .contains("invalid_argument");
    }
}
