package dev.cube.sdk;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.InputStream;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Files in a sandbox; get it from {@link Sandbox#files}. Relative paths are below the default user's home. */
public final class SandboxFiles {
    private final SandboxServices services;

    SandboxFiles(SandboxServices services) {
        this.services = services;
    }

    /** Creates or replaces a file, and its missing parent directories. */
    public void write(String path, byte[] content) {
        write(path, HttpRequest.BodyPublishers.ofByteArray(content));
    }

    /** Creates or replaces a file with UTF-8 text. */
    public void write(String path, String content) {
        write(path, content.getBytes(StandardCharsets.UTF_8));
    }

    /** Creates or replaces a file with what the publisher gives, of any size. */
    public void write(String path, HttpRequest.BodyPublisher content) {
        services.http().send(services.request(SandboxServices.ENVD_PORT, "/files?path=" + CubeClient.encode(path))
                .header("Content-Type", "application/octet-stream").POST(content));
    }

    public byte[] read(String path) {
        return services.http().send(
                services.request(SandboxServices.ENVD_PORT, "/files?path=" + CubeClient.encode(path)).GET()).body();
    }

    /** A file's content, of any size; the caller closes it. */
    public InputStream open(String path) {
        return services.http().open(
                services.request(SandboxServices.ENVD_PORT, "/files?path=" + CubeClient.encode(path)).GET());
    }

    /** The entries of a directory, without those of its subdirectories. */
    public List<FileEntry> list(String path) {
        List<FileEntry> entries = new ArrayList<>();
        for (JsonNode entry : call("ListDir", Map.of("path", path, "depth", 1)).path("entries")) {
            entries.add(entry(entry));
        }
        return entries;
    }

    public FileEntry stat(String path) {
        return entry(call("Stat", Map.of("path", path)).path("entry"));
    }

    public boolean exists(String path) {
        try {
            stat(path);
            return true;
        } catch (CubeException e) {
            if (e.isNotFound()) {
                return false;
            }
            throw e;
        }
    }

    /** Makes a directory and its missing parents; status 409 if it is there. */
    public FileEntry makeDirectory(String path) {
        return entry(call("MakeDir", Map.of("path", path)).path("entry"));
    }

    public FileEntry move(String from, String to) {
        return entry(call("Move", Map.of("source", from, "destination", to)).path("entry"));
    }

    /** Removes a file, or a directory with all that is in it. */
    public void remove(String path) {
        call("Remove", Map.of("path", path));
    }

    private JsonNode call(String method, Map<String, Object> message) {
        return services.call("filesystem.Filesystem/" + method, message, Optional.empty());
    }

    private static FileEntry entry(JsonNode node) {
        return Json.read(Json.bytes(node), FileEntry.class);
    }
}
