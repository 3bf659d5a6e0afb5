package dev.cube.server;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** The file {@code server.json} in the home directory: there while a server is ready, to find it by. */
final class ServerFile {
    /**
     * @param domain         of the sandboxes, with its port where that is not 443
     * @param caBundle       for {@code SSL_CERT_FILE}
     * @param apiKeyFile     holds a valid key where one is required; null otherwise
     */
    @JsonInclude(JsonInclude.Include.NON_NULL)
    record Content(long pid, String apiUrl, String domain, String proxyUrl, String caCertificate, String caBundle,
            boolean apiKeyRequired, String apiKeyFile) {}

    private static final ObjectMapper JSON = new ObjectMapper();

    private final Path file;

    ServerFile(Home home) {
        file = home.resolve("server.json");
    }

    /** Seen whole or not at all. */
    void write(Content content) throws IOException {
        Path fresh = file.resolveSibling("server.json.new");
        Files.write(fresh, JSON.writer(new DefaultPrettyPrinter()).writeValueAsBytes(content));
        Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    void remove() throws IOException {
        Files.deleteIfExists(file);
    }
}
