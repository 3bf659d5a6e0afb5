package dev.cube.envd.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.net.URLEncoder;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Random;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;

class FilesTest extends EnvdFixture {
    private static final String BOUNDARY = "----formdata-undici-0123";

    private HttpResponse<String> post(String path, String type, byte[] body, String... headers) throws Exception {
        HttpRequest.Builder builder = server.request(path).header("Content-Type", type)
                .POST(HttpRequest.BodyPublishers.ofByteArray(body));
        if (headers.length > 0) {
            builder.headers(headers);
        }
        return server.client.send(builder.build(), HttpResponse.BodyHandlers.ofString());
    }

    private static byte[] part(String filename, byte[] content) {
        return EnvdServer.concat(("--" + BOUNDARY + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\""
                + filename + "\"\r\nContent-Type: application/octet-stream\r\n\r\n").getBytes(StandardCharsets.UTF_8),
                content, "\r\n".getBytes());
    }

    private static byte[] form(byte[]... parts) {
        return EnvdServer.concat(EnvdServer.concat(parts), ("--" + BOUNDARY + "--\r\n").getBytes());
    }

    private HttpResponse<String> postForm(String path, byte[]... parts) throws Exception {
        return post(path, "multipart/form-data; boundary=" + BOUNDARY, form(parts));
    }

    @Test
    void writesARawBodyAndReadsItBack() throws Exception {
        byte[] data = new byte[3_000_000];
        new Random(1).nextBytes(data);
        HttpResponse<String> written = post("/files?path=dir/x.bin&username=root", "application/octet-stream", data);
        assertThat(written.statusCode()).isEqualTo(200);
        assertThat(written.body()).isEqualTo(
                "[{\"path\":\"/root/dir/x.bin\",\"name\":\"x.bin\",\"type\":\"file\"}]");
        assertThat(guest.owners).containsExactly("root");

        HttpResponse<byte[]> read = server.client.send(server.request("/files?path=/root/dir/x.bin").build(),
                HttpResponse.BodyHandlers.ofByteArray());
        assertThat(read.body()).isEqualTo(data);
        assertThat(read.headers().firstValue("content-length")).contains("3000000");
        assertThat(read.headers().firstValue("content-disposition")).contains("inline; filename=x.bin");
    }

    @Test
    void writesManyFilesOfAForm() throws Exception {
        byte[] tricky = ("\r\n--" + BOUNDARY.substring(1) + "\r\r\n\n--").getBytes();
        HttpResponse<String> written = postForm("/files?username=user", part("a.txt", "A".getBytes()),
                part("/srv/ü \\\"q\\\".txt", tricky), part("empty", new byte[0]));
        assertThat(written.statusCode()).as(written.body()).isEqualTo(200);
        assertThat(root.resolve("home/user/a.txt")).hasContent("A");
        assertThat(root.resolve("srv/ü \"q\".txt")).hasBinaryContent(tricky);
        assertThat(root.resolve("home/user/empty")).isEmptyFile();
        assertThat(written.body()).contains("/home/user/empty");
    }

    @Test
    void thePathInTheQueryNamesTheOnlyFile() throws Exception {
        assertThat(postForm("/files?path=one", part("ignored", "1".getBytes())).body()).contains("/home/user/one");
        HttpResponse<String> twice = postForm("/files?path=one", part("a", "1".getBytes()), part("b", "2".getBytes()));
        assertThat(twice.statusCode()).isEqualTo(400);
        assertThat(twice.body()).contains("you cannot upload multiple files to the same path '/home/user/one'");
        assertThat(root.resolve("home/user/one")).hasContent("1");
    }

    @Test
    void aBrokenUploadLeavesNothing() throws Exception {
        Files.writeString(root.resolve("home/user/kept"), "before");
        byte[] whole = part("kept", new byte[100_000]);
        byte[] cut = java.util.Arrays.copyOf(whole, whole.length - 5000);
        HttpResponse<String> broken = post("/files", "multipart/form-data; boundary=" + BOUNDARY, cut);
        assertThat(broken.statusCode()).isEqualTo(400);
        assertThat(root.resolve("home/user/kept")).hasContent("before");
        try (var files = Files.list(root)) {
            assertThat(files.map(file -> file.getFileName().toString())).containsExactlyInAnyOrder("home", "root");
        }
    }

    @Test
    void answersInEnvdsWords() throws Exception {
        assertThat(server.get("/files?path=no").body())
                .contains("path '/home/user/no' does not exist", "\"code\":404");
        assertThat(server.get("/files?path=/home").body()).contains("path '/home' is a directory", "\"code\":400");
        HttpResponse<String> nobody = server.get("/files?path=/home&username=nobody");
        assertThat(nobody.statusCode()).isEqualTo(401);
        assertThat(nobody.body()).contains("error looking up user 'nobody': user: unknown user nobody");
        assertThat(post("/files?path=x&username=nobody", "application/octet-stream", new byte[9]).statusCode())
                .isEqualTo(401);
        assertThat(post("/files?path=/home", "application/octet-stream", new byte[9]).body())
                .contains("path is a directory: /home");
        assertThat(post("/files", "application/octet-stream", new byte[9]).body()).contains("path query parameter");
        assertThat(post("/files?path=x", "text/plain", new byte[9]).body()).contains("unsupported content type");
        assertThat(server.get("/files?path=/home&username=").statusCode()).isEqualTo(401);
    }

    @Test
    void keepsMetadata() throws Exception {
        HttpResponse<String> written = post("/files?path=m", "application/octet-stream", new byte[1],
                "X-Metadata-Author", "some body", "x-metadata-B", "");
        assertThat(written.body()).contains("\"metadata\":{\"author\":\"some body\",\"b\":\"\"}");
        assertThat(server.json("/filesystem.Filesystem/Stat", "{\"path\":\"m\"}").body())
                .contains("\"metadata\":{\"author\":\"some body\",\"b\":\"\"}");
        assertThat(server.json("/filesystem.Filesystem/ListDir", "{\"path\":\"~\"}").body()).contains("some body");
        assertThat(post("/files?path=m", "application/octet-stream", new byte[1]).body()).doesNotContain("metadata");

        HttpResponse<String> tooMuch = post("/files?path=n", "application/octet-stream", new byte[1],
                "X-Metadata-A", "1".repeat(4096));
        assertThat(tooMuch.statusCode()).isEqualTo(400);
        assertThat(tooMuch.body()).contains("invalid metadata: total metadata size 4106 exceeds 4096 bytes");
        assertThat(post("/files?path=n", "application/octet-stream", new byte[1], "X-Metadata-" + "k".repeat(247), "")
                .body()).contains("exceeds 246 bytes");
        assertThat(root.resolve("home/user/n")).doesNotExist();
    }

    @Test
    void makesOneFileOfMany() throws Exception {
        Files.writeString(root.resolve("home/user/a"), "A");
        Files.writeString(root.resolve("srv"), "B");
        String request = "{\"source_paths\":[\"a\",\"/srv\"],\"destination\":\"c\"}";
        assertThat(server.json("/files/compose", request).body())
                .isEqualTo("{\"path\":\"/home/user/c\",\"name\":\"c\",\"type\":\"file\"}");
        assertThat(root.resolve("home/user/c")).hasContent("AB");
        assertThat(server.json("/files/compose", request).statusCode()).isEqualTo(404);
        assertThat(server.json("/files/compose", "{\"source_paths\":[],\"destination\":\"c\"}").body())
                .contains("source_paths must not be empty", "\"code\":400");
        assertThat(server.json("/files/compose", "{\"source_paths\":[\"a\"]}").body()).contains("destination");
        assertThat(server.json("/files/compose", "{").body()).contains("invalid request body", "\"code\":400");
        assertThat(server.json("/files/compose", "null").statusCode()).isEqualTo(400);
        assertThat(server.json("/files/compose",
                "{\"source_paths\":[\"a\"],\"destination\":\"c\",\"username\":\"nobody\"}").statusCode()).isEqualTo(401);
        assertThat(server.get("/files/compose").statusCode()).isEqualTo(405);
    }

    @Test
    void compressesAndExpands() throws Exception {
        var packed = new ByteArrayOutputStream();
        try (var gzip = new GZIPOutputStream(packed)) {
            gzip.write("packed".repeat(1000).getBytes());
        }
        assertThat(post("/files?path=p", "application/octet-stream", packed.toByteArray(), "Content-Encoding", "gzip")
                .statusCode()).isEqualTo(200);
        assertThat(root.resolve("home/user/p")).hasContent("packed".repeat(1000));
        HttpResponse<InputStream> read = server.client.send(
                server.request("/files?path=p").header("Accept-Encoding", "gzip").build(),
                HttpResponse.BodyHandlers.ofInputStream());
        assertThat(read.headers().firstValue("content-encoding")).contains("gzip");
        assertThat(new GZIPInputStream(read.body()).readAllBytes()).asString().isEqualTo("packed".repeat(1000));
        assertThat(server.get("/files?path=p", "Accept-Encoding", "br, identity;q=0").statusCode()).isEqualTo(406);
        assertThat(post("/files?path=p", "application/octet-stream", new byte[9], "Content-Encoding", "gzip")
                .statusCode()).isEqualTo(400);
    }

    @Test
    void servesRangesAndConditions() throws Exception {
        Files.writeString(root.resolve("home/user/r"), "0123456789");
        HttpResponse<String> middle = server.get("/files?path=r", "Range", "bytes=2-4");
        assertThat(middle.statusCode()).isEqualTo(206);
        assertThat(middle.body()).isEqualTo("234");
        assertThat(middle.headers().firstValue("content-range")).contains("bytes 2-4/10");
        assertThat(server.get("/files?path=r", "Range", "bytes=-3").body()).isEqualTo("789");
        assertThat(server.get("/files?path=r", "Range", "bytes=7-").body()).isEqualTo("789");
        assertThat(server.get("/files?path=r", "Range", "bytes=10-").statusCode()).isEqualTo(416);
        assertThat(server.get("/files?path=r", "Range", "bytes=1-2,4-5").body()).isEqualTo("0123456789");
        String modified = server.get("/files?path=r").headers().firstValue("last-modified").orElseThrow();
        assertThat(server.get("/files?path=r", "If-Modified-Since", modified).statusCode()).isEqualTo(304);
    }

    @Test
    void signedUrlsOpenWhatTheyNameAndNoMore() throws Exception {
        secure("secret");
        Files.writeString(root.resolve("home/user/s"), "signed");
        assertThat(server.get("/files?path=s").statusCode()).isEqualTo(401);
        assertThat(server.get("/files?path=s", "X-Access-Token", "secret").body()).isEqualTo("signed");
        assertThat(server.get("/files?path=s", "X-Access-Token", "wrong").statusCode()).isEqualTo(401);
        assertThat(server.get("/files?path=s&signature=" + sign("s:read::secret")).body()).isEqualTo("signed");
        assertThat(server.get("/files?path=t&signature=" + sign("s:read::secret")).statusCode()).isEqualTo(401);
        assertThat(server.get("/files?path=s&username=user&signature_expiration=99999999999&signature="
                + sign("s:read:user:secret:99999999999")).body()).isEqualTo("signed");
        assertThat(server.get("/files?path=s&signature_expiration=1000&signature=" + sign("s:read::secret:1000"))
                .body()).contains("signature is already expired");
        assertThat(post("/files?path=s&signature=" + sign("s:read::secret"), "application/octet-stream", new byte[1])
                .statusCode()).isEqualTo(401);
        assertThat(post("/files?path=s&signature=" + sign("s:write::secret"), "application/octet-stream", new byte[1])
                .statusCode()).isEqualTo(200);
        HttpResponse<String> refused = server.json("/process.Process/List", "{}");
        assertThat(refused.statusCode()).isEqualTo(401);
        assertThat(refused.body()).contains("unauthorized access", "\"code\":401");
        assertThat(server.json("/process.Process/List", "{}", "X-Access-Token", "secret").statusCode()).isEqualTo(200);
        assertThat(server.get("/health").statusCode()).isEqualTo(204);
        assertThat(server.get("/metrics").statusCode()).isEqualTo(401);
    }

    private static String sign(String text) throws Exception {
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        return URLEncoder.encode("v1_" + Base64.getEncoder().withoutPadding().encodeToString(hash),
                StandardCharsets.UTF_8);
    }

    @Test
    void streamsMoreThanFitsInMemory() throws Exception {
        // More than the bound on what may be held, below.
        long before = usedAfterCollection();
        long size = 400L << 20;
        InputStream endless = new InputStream() {
            private long left = size;

            @Override
            public int read() {
                return left-- > 0 ? 0 : -1;
            }

            @Override
            public int read(byte[] target, int offset, int length) {
                if (left <= 0) {
                    return -1;
                }
                int count = (int) Math.min(left, length);
                left -= count;
                return count;
            }
        };
        byte[] head = ("--" + BOUNDARY + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big\"\r\n\r\n")
                .getBytes();
        byte[] tail = ("\r\n--" + BOUNDARY + "--\r\n").getBytes();
        InputStream body = new SequenceInputStream(new ByteArrayInputStream(head),
                new SequenceInputStream(endless, new ByteArrayInputStream(tail)));
        HttpResponse<String> written = server.client.send(server.request("/files")
                .header("Content-Type", "multipart/form-data; boundary=" + BOUNDARY)
                .POST(HttpRequest.BodyPublishers.ofInputStream(() -> body)).build(),
                HttpResponse.BodyHandlers.ofString());
        assertThat(written.statusCode()).isEqualTo(200);
        assertThat(root.resolve("home/user/big")).hasSize(size);

        HttpResponse<InputStream> read = server.client.send(server.request("/files?path=big").build(),
                HttpResponse.BodyHandlers.ofInputStream());
        byte[] chunk = read.body().readNBytes(1000);
        assertThat(chunk).hasSize(1000);
        // The reader stands still: what the server holds must be bounded.
        Thread.sleep(500);
        assertThat(usedAfterCollection() - before).isLessThan(64L << 20);
        assertThat(read.body().transferTo(java.io.OutputStream.nullOutputStream())).isEqualTo(size - 1000);
    }

    private static long usedAfterCollection() {
        System.gc();
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }
}
