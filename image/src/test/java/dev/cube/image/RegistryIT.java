package dev.cube.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.image.RegistryCredentials.Login;
import dev.cube.image.TestImage.Compression;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Pulls from Debian's {@code docker-registry} and builds the disk. */
class RegistryIT {
    private static final String USER = "u";
    private static final String PASSWORD = "secret";
    static final String BASIC = "Basic "
            + Base64.getEncoder().encodeToString((USER + ":" + PASSWORD).getBytes(StandardCharsets.UTF_8));
    /** Of the password above, bcrypt with the least cost. */
    private static final String HTPASSWD = USER + ":$2b$04$1yyTV8s.x.epxM8YvO5zRexqttwul8qLSHP/wmX1HNwe5zpLobX42\n";

    @TempDir
    Path directory;
    private Path out;
    private Path disk;

    @BeforeEach
    void makeDirectory() throws IOException {
        out = Files.createDirectory(directory.resolve("out"));
        disk = out.resolve("base.ext4");
    }

    private BaseDisk build(String reference, RegistryCredentials credentials) {
        return new BaseDiskBuilder(UnpackLimits.DEFAULT, credentials).build(reference, disk, line -> { });
    }

    private static TestImage image() {
        return new TestImage()
                .layer(new TarBuilder().directory("d").file("d/gone", "").file("zstd", "z".repeat(100_000)), Compression.ZSTD)
                .layer(new TarBuilder().file("d/.wh.gone", "").file("gzip", "g".repeat(100_000)), Compression.GZIP);
    }

    private static String digestOf(String descriptor) {
        return descriptor.replaceAll(".*?\"digest\":\"([^\"]*)\".*", "$1");
    }

    private void assertDisk() throws IOException {
        String listing = Tool.run(Map.of(), "debugfs", "e2fsprogs", List.of("-R", "ls -p /", disk.toString())).output();
        assertThat(listing).contains("/zstd/100000/").contains("/gzip/100000/");
        Files.delete(disk);
    }

    private void assertRefused(String reference, RegistryCredentials credentials, String reason) throws IOException {
        assertThatThrownBy(() -> build(reference, credentials))
                .isInstanceOf(ImageException.class).hasMessageContaining(reason);
        try (Stream<Path> files = Files.list(out)) {
            assertThat(files).isEmpty();
        }
    }

    @Test
    void pullsFromAnOpenRegistry() throws Exception {
        TestImage image = image();
        String index = image.index(new TestImage().architecture("arm64").layer(new TarBuilder().file("arm", "")));
        TestImage arm = new TestImage().architecture("arm64").layer(new TarBuilder().file("arm", ""));
        String reference;
        try (DockerRegistry registry = new DockerRegistry(directory, "")) {
            registry.push(image, index, "team/app", "v1", Optional.empty());
            registry.push(arm, arm.manifest(), "team/arm", "latest", Optional.empty());
            reference = registry.host() + "/team/app";

            BaseDisk made = build(reference + ":v1", RegistryCredentials.anonymous());
            assertThat(made.config().digest()).isEqualTo(digestOf(image.manifest()));
            assertDisk();
            build(reference + "@" + digestOf(index), RegistryCredentials.anonymous());
            assertDisk();

            assertRefused(reference, RegistryCredentials.anonymous(), "team/app:latest does not exist");
            assertRefused(registry.host() + "/nothing:v1", RegistryCredentials.anonymous(), "nothing:v1 does not exist");
            assertRefused(registry.host() + "/team/arm", RegistryCredentials.anonymous(), "is for linux/arm64");
        }
        assertRefused(reference, RegistryCredentials.anonymous(), "cannot reach registry 127.0.0.1:");
    }

    @Test
    void logsInWithAPassword() throws Exception {
        Path htpasswd = Files.writeString(directory.resolve("htpasswd"), HTPASSWD);
        TestImage image = image();
        try (DockerRegistry registry =
                new DockerRegistry(directory, "auth: {htpasswd: {realm: test, path: %s}}".formatted(htpasswd))) {
            registry.push(image, image.manifest(), "a/b", "latest", Optional.of(BASIC));
            String reference = registry.host() + "/a/b";

            Path config = Files.writeString(directory.resolve("config.json"), "{\"auths\":{\"%s\":{\"auth\":\"%s\"}}}"
                    .formatted(registry.host(), BASIC.substring("Basic ".length())));
            build(reference, new DockerConfigCredentials(config));
            assertDisk();

            assertRefused(reference, RegistryCredentials.anonymous(), "refuses access to a/b");
            assertRefused(reference, host -> Optional.of(new Login(USER, "wrong", Optional.empty())),
                    "refuses access to a/b");
        }
    }

    @Test
    void logsInWithATokenFromAnotherServer() throws Exception {
        TestImage image = image();
        try (TokenServer tokens = new TokenServer(directory);
                DockerRegistry registry = new DockerRegistry(directory, tokens.auth())) {
            registry.push(image, image.manifest(), "a/b", "latest", Optional.of("Bearer " + tokens.issue("a/b", "pull,push")));
            String reference = registry.host() + "/a/b";

            build(reference, host -> Optional.of(new Login(USER, PASSWORD, Optional.empty())));
            assertDisk();
            build(reference, host -> Optional.of(new Login("", "", Optional.of(TokenServer.IDENTITY_TOKEN))));
            assertDisk();

            assertRefused(reference, RegistryCredentials.anonymous(), "there is no login for it");
            assertRefused(reference, host -> Optional.of(new Login(USER, "wrong", Optional.empty())),
                    "token server answered 401");
            assertRefused(registry.host() + "/other/repo",
                    host -> Optional.of(new Login(USER, PASSWORD, Optional.empty())), "refuses access to other/repo");
        }
    }
}
