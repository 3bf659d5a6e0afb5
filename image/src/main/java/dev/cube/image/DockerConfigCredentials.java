package dev.cube.image;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Map;
import java.util.Optional;

/**
 * Credentials as {@code docker login} stores them: {@code config.json} in {@code $DOCKER_CONFIG} or {@code ~/.docker},
 * its {@code auths} by host. The file is read anew each time, so that a login takes effect at once. Credential helpers,
 * which are other programs, are not called.
 */
public final class DockerConfigCredentials implements RegistryCredentials {
    private final Path file;

    public DockerConfigCredentials(Path file) {
        this.file = file;
    }

    /** The file that Docker's own client would use. */
    public static DockerConfigCredentials ofEnvironment() {
        String directory = System.getenv("DOCKER_CONFIG");
        return new DockerConfigCredentials(directory == null || directory.isEmpty()
                ? Path.of(System.getProperty("user.home"), ".docker", "config.json")
                : Path.of(directory, "config.json"));
    }

    @Override
    public Optional<Login> find(String host) {
        if (!Files.isRegularFile(file)) {
            return Optional.empty();
        }
        JsonNode auths;
        try {
            auths = Json.object(Files.readAllBytes(file), file.toString()).path("auths");
        } catch (IOException e) {
            throw new ImageException("cannot read %s: %s".formatted(file, e.getMessage()), e);
        }
        for (Map.Entry<String, JsonNode> entry : auths.properties()) {
            if (hostOf(entry.getKey()).equals(host)) {
                return login(entry.getValue(), host);
            }
        }
        return Optional.empty();
    }

    /** Keys may be URLs. */
    private static String hostOf(String key) {
        String rest = key.replaceFirst("^https?://", "");
        int slash = rest.indexOf('/');
        return slash < 0 ? rest : rest.substring(0, slash);
    }

    private Optional<Login> login(JsonNode entry, String host) {
        Optional<String> identityToken = Optional.of(entry.path("identitytoken").asText("")).filter(t -> !t.isEmpty());
        String auth = entry.path("auth").asText("");
        if (auth.isEmpty()) {
            String username = entry.path("username").asText("");
            return username.isEmpty() && identityToken.isEmpty()
                    ? Optional.empty()
                    : Optional.of(new Login(username, entry.path("password").asText(""), identityToken));
        }
        String decoded;
        try {
            decoded = new String(Base64.getDecoder().decode(auth), StandardCharsets.UTF_8);
        } catch (IllegalArgumentException e) {
            throw new ImageException("the login for %s in %s is not base64".formatted(host, file), e);
        }
        int colon = decoded.indexOf(':');
        if (colon < 0) {
            throw new ImageException("the login for %s in %s is not USER:PASSWORD".formatted(host, file));
        }
        return Optional.of(new Login(decoded.substring(0, colon), decoded.substring(colon + 1), identityToken));
    }
}
