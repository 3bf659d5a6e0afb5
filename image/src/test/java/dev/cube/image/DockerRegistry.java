package dev.cube.image;

import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;

/** A registry of the Debian package {@code docker-registry} on a free port of the loopback interface. */
final class DockerRegistry implements AutoCloseable {
    private final Process process;
    private final int port;
    private final HttpClient http = HttpClient.newHttpClient();

    /** @param auth the {@code auth} section of its configuration, or nothing */
    DockerRegistry(Path directory, String auth) throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
            port = socket.getLocalPort();
        }
        Path config = Files.writeString(directory.resolve("config.yml"), """
                version: 0.1
                log: {level: warn}
                storage: {filesystem: {rootdirectory: %s}}
                http: {addr: "127.0.0.1:%d"}
                %s
                """.formatted(directory.resolve("storage"), port, auth));
        Path log = directory.resolve("registry.log");
        process = new ProcessBuilder("docker-registry", "serve", config.toString())
                .redirectErrorStream(true).redirectOutput(log.toFile()).start();
        try {
            Awaitility.await().atMost(Duration.ofSeconds(30)).until(this::answers);
        } catch (RuntimeException e) {
            close();
            throw new IllegalStateException("docker-registry does not start: " + Files.readString(log), e);
        }
    }

    private boolean answers() throws Exception {
        try {
            return http.send(HttpRequest.newBuilder(uri("/v2/")).build(), HttpResponse.BodyHandlers.discarding())
                    .statusCode() > 0;
        } catch (ConnectException e) {
            if (!process.isAlive()) {
                throw new IllegalStateException("it ended", e);
            }
            return false;
        }
    }

    String host() {
        return "127.0.0.1:" + port;
    }

    private URI uri(String path) {
        return URI.create("http://" + host() + path);
    }

    /** Uploads all that an image consists of, and tags its root. */
    void push(TestImage image, String rootDescriptor, String repository, String tag, Optional<String> authorization)
            throws Exception {
        String root = rootDescriptor.replaceAll(".*?\"digest\":\"([^\"]*)\".*", "$1");
        for (Map.Entry<String, byte[]> blob : image.blobs.entrySet()) {
            String type = mediaType(blob.getValue());
            if (type.isEmpty()) {
                HttpResponse<String> upload =
                        send(authorization, "POST", uri("/v2/" + repository + "/blobs/uploads/"), type, new byte[0], 202);
                URI location = uri("/").resolve(upload.headers().firstValue("Location").orElseThrow());
                send(authorization, "PUT", URI.create(location + "&digest=" + blob.getKey()), "application/octet-stream",
                        blob.getValue(), 201);
            }
        }
        // An index is the last document added, and a registry wants to have what it names.
        for (Map.Entry<String, byte[]> document : image.blobs.entrySet()) {
            String type = mediaType(document.getValue());
            if (!type.isEmpty()) {
                String name = document.getKey().equals(root) ? tag : document.getKey();
                send(authorization, "PUT", uri("/v2/" + repository + "/manifests/" + name), type, document.getValue(), 201);
            }
        }
    }

    private static String mediaType(byte[] content) {
        String start = new String(content, 0, Math.min(200, content.length), StandardCharsets.ISO_8859_1);
        return start.startsWith("{\"schemaVersion\"") ? start.replaceAll("(?s).*?\"mediaType\":\"([^\"]*)\".*", "$1") : "";
    }

    private HttpResponse<String> send(Optional<String> authorization, String method, URI uri, String type, byte[] body,
            int expected) throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri)
                .method(method, HttpRequest.BodyPublishers.ofByteArray(body));
        if (!type.isEmpty()) {
            request.header("Content-Type", type);
        }
        authorization.ifPresent(value -> request.header("Authorization", value));
        HttpResponse<String> response = http.send(request.build(), HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() != expected) {
            throw new IllegalStateException("%s %s: %d %s".formatted(method, uri, response.statusCode(), response.body()));
        }
        return response;
    }

    @Override
    public void close() {
        http.close();
        process.destroy();
        try {
            if (!process.waitFor(10, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
