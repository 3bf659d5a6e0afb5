package dev.cube.envd.daemon;

import static dev.cube.envd.daemon.EnvdServer.concat;
import static dev.cube.envd.daemon.EnvdServer.frame;
import static dev.cube.envd.daemon.EnvdServer.readFrames;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;

/** The Connect protocol's edges, and the routes beside it. */
class ProtocolTest extends EnvdFixture {
    private static final String LIST = "/process.Process/List";
    private static final String START = "/process.Process/Start";

    private static byte[] gzip(byte[] data) throws Exception {
        var packed = new ByteArrayOutputStream();
        try (var gzip = new GZIPOutputStream(packed)) {
            gzip.write(data);
        }
        return packed.toByteArray();
    }

    @Test
    void refusesOtherMethodsAndTypes() throws Exception {
        assertThat(server.get(LIST).statusCode()).isEqualTo(405);
        HttpResponse<String> wrong = server.client.send(server.request(LIST).header("Content-Type", "text/plain")
                .POST(HttpRequest.BodyPublishers.ofString("{}")).build(), HttpResponse.BodyHandlers.ofString());
        assertThat(wrong.statusCode()).isEqualTo(415);
        assertThat(wrong.headers().firstValue("accept-post")).contains("application/json, application/proto");
        assertThat(server.json(START, "{}").statusCode()).isEqualTo(415);
        assertThat(server.json("/process.Process/Nothing", "{}").statusCode()).isEqualTo(404);
    }

    @Test
    void refusesMessagesThatAreNone() throws Exception {
        assertThat(server.json(LIST, "").body()).contains("\"invalid_argument\"", "zero-length payload");
        assertThat(server.json(LIST, "[").statusCode()).isEqualTo(400);
        assertThat(server.json("/process.Process/SendSignal", "{\"process\":\"x\"}").statusCode()).isEqualTo(400);
        assertThat(server.json(LIST, "{\"unknown\":1}").statusCode()).isEqualTo(200);
        HttpResponse<String> proto = server.client.send(server.request("/process.Process/SendSignal")
                .header("Content-Type", "application/proto")
                .POST(HttpRequest.BodyPublishers.ofByteArray(new byte[] {-1, -1, -1})).build(),
                HttpResponse.BodyHandlers.ofString());
        assertThat(proto.statusCode()).isEqualTo(400);
        assertThat(proto.body()).contains("\"invalid_argument\"");
        assertThat(server.json(LIST, "{}", "Connect-Protocol-Version", "2").statusCode()).isEqualTo(400);
        assertThat(server.json(LIST, "{}", "Connect-Protocol-Version", "1").statusCode()).isEqualTo(200);
    }

    @Test
    void refusesFramesThatAreNone() throws Exception {
        byte[] short4 = {0, 0, 0, 0};
        byte[] cut = ByteBuffer.allocate(7).put((byte) 0).putInt(100).array();
        byte[] huge = ByteBuffer.allocate(5).put((byte) 0).putInt(-1).array();
        byte[] flags = ByteBuffer.allocate(7).put((byte) 0x40).putInt(2).put("{}".getBytes()).array();
        byte[] compressed = ByteBuffer.allocate(7).put((byte) 1).putInt(2).put("{}".getBytes()).array();
        assertThat(ends(new byte[0])).contains("unimplemented", "zero messages");
        assertThat(ends(concat(frame("{}"), frame("{}")))).contains("unimplemented", "multiple messages");
        assertThat(ends(short4)).contains("invalid_argument", "incomplete envelope");
        assertThat(ends(cut)).contains("invalid_argument", "promised 100 bytes");
        assertThat(ends(huge)).contains("resource_exhausted", "4294967295");
        assertThat(ends(flags)).contains("invalid_argument", "envelope flags");
        assertThat(ends(compressed)).contains("internal", "without compression support");
        assertThat(ends(frame("{"))).contains("invalid_argument", "unmarshal");
        assertThat(guest.started).isEmpty();
    }

    private String ends(byte[] frames) throws Exception {
        HttpResponse<java.io.InputStream> response = server.stream(START, "json", frames);
        assertThat(response.statusCode()).isEqualTo(200);
        List<String> received = readFrames(response.body());
        assertThat(received).hasSize(1);
        return received.getFirst();
    }

    @Test
    void takesCompressedMessagesAndNoBombs() throws Exception {
        byte[] request = gzip("{\"process\":{\"cmd\":\"x\"}}".getBytes());
        byte[] frame = ByteBuffer.allocate(5 + request.length).put((byte) 1).putInt(request.length).put(request)
                .array();
        HttpResponse<java.io.InputStream> response =
                server.stream(START, "json", frame, "Connect-Content-Encoding", "gzip");
        guest.nextStarted().exits(0);
        assertThat(readFrames(response.body())).hasSize(3);

        HttpResponse<String> unary = server.client.send(server.request(LIST).header("Content-Type", "application/json")
                .header("Content-Encoding", "gzip").POST(HttpRequest.BodyPublishers.ofByteArray(gzip("{}".getBytes())))
                .build(), HttpResponse.BodyHandlers.ofString());
        assertThat(unary.statusCode()).isEqualTo(200);

        byte[] bomb = gzip(new byte[40 << 20]);
        HttpResponse<String> bombed = server.client.send(server.request(LIST)
                .header("Content-Type", "application/json").header("Content-Encoding", "gzip")
                .POST(HttpRequest.BodyPublishers.ofByteArray(bomb)).build(), HttpResponse.BodyHandlers.ofString());
        assertThat(bombed.statusCode()).isEqualTo(429);
        assertThat(bombed.body()).contains("resource_exhausted");
        assertThat(server.json(LIST, "{}", "Content-Encoding", "br").statusCode()).isEqualTo(501);
    }

    @Test
    void refusesOversizedMessagesAndGoesOn() throws Exception {
        HttpResponse<String> big = server.client.send(server.request(LIST).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofByteArray(new byte[(32 << 20) + 1])).build(),
                HttpResponse.BodyHandlers.ofString());
        assertThat(big.statusCode()).isEqualTo(429);
        assertThat(server.json(LIST, "{}").statusCode()).isEqualTo(200);
    }

    @Test
    void speaksHttp2() throws Exception {
        try (var http2 = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).build()) {
            HttpResponse<String> first = http2.send(server.request("/health").build(),
                    HttpResponse.BodyHandlers.ofString());
            assertThat(first.version()).isEqualTo(HttpClient.Version.HTTP_2);
            HttpResponse<java.io.InputStream> stream = http2.send(server.request(START)
                    .header("Content-Type", "application/connect+json")
                    .POST(HttpRequest.BodyPublishers.ofByteArray(frame("{\"process\":{\"cmd\":\"x\"}}"))).build(),
                    HttpResponse.BodyHandlers.ofInputStream());
            guest.nextStarted().prints("x").exits(0);
            assertThat(readFrames(stream.body())).hasSize(4);
            assertThat(stream.version()).isEqualTo(HttpClient.Version.HTTP_2);
        }
    }

    @Test
    void letsBrowsersIn() throws Exception {
        HttpResponse<String> preflight = server.client.send(server.request(START)
                .method("OPTIONS", HttpRequest.BodyPublishers.noBody()).header("Origin", "https://app.example")
                .header("Access-Control-Request-Method", "POST")
                .header("Access-Control-Request-Headers", "connect-protocol-version,x-access-token").build(),
                HttpResponse.BodyHandlers.ofString());
        assertThat(preflight.statusCode()).isEqualTo(204);
        assertThat(preflight.headers().firstValue("access-control-allow-origin")).contains("*");
        assertThat(preflight.headers().firstValue("access-control-allow-headers"))
                .contains("connect-protocol-version,x-access-token");
        assertThat(server.get("/health", "Origin", "https://app.example").headers()
                .firstValue("access-control-allow-origin")).contains("*");
    }

    @Test
    void tellsOfHealthAndLoadAndHidesTheControlRoutes() throws Exception {
        assertThat(server.get("/health").statusCode()).isEqualTo(204);
        assertThat(server.get("/metrics").body()).contains("\"cpu_count\":2", "\"cpu_used_pct\":12.35",
                "\"mem_total\":2147483648", "\"mem_used_mib\":1024", "\"disk_total\":10737418240");
        HttpResponse<String> init = server.client.send(server.request("/init")
                .POST(HttpRequest.BodyPublishers.ofString("{}")).build(), HttpResponse.BodyHandlers.ofString());
        assertThat(init.statusCode()).isEqualTo(404);
        assertThat(init.body()).contains("reserved for the control plane");
        Files.createDirectories(root.resolve("run/cube"));
        Files.writeString(root.resolve("run/cube/environment"), "B=2=3\0A=\0");
        assertThat(server.get("/envs").body()).isEqualTo("{\"A\":\"\",\"B\":\"2=3\"}");
        assertThat(server.get("/nothing").statusCode()).isEqualTo(404);
    }
}
