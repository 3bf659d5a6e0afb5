package dev.cube.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.image.RegistryCredentials.Login;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DockerConfigCredentialsTest {
    @TempDir
    Path directory;

    @Test
    void findsLoginsByHost() throws IOException {
        // "dTpwOncz" is u:p:w3.
        RegistryCredentials credentials = with("""
                {"auths":{"a.example":{"auth":"dTpwOncz"},"https://b.example:5000/v1/":{"username":"x","password":"y"},
                "c.example":{"auth":"dTpwOncz","identitytoken":"t"},"d.example":{}}}""");

        assertThat(credentials.find("a.example")).contains(new Login("u", "p:w3", Optional.empty()));
        assertThat(credentials.find("b.example:5000")).contains(new Login("x", "y", Optional.empty()));
        assertThat(credentials.find("c.example")).contains(new Login("u", "p:w3", Optional.of("t")));
        assertThat(credentials.find("d.example")).isEmpty();
        assertThat(credentials.find("b.example")).isEmpty();
    }

    @Test
    void noFileIsNoLogin() {
        assertThat(new DockerConfigCredentials(directory.resolve("none")).find("a.example")).isEmpty();
    }

    @Test
    void aBadFileIsNamedWithoutItsSecrets() throws IOException {
        assertThatThrownBy(() -> with("{\"auths\":{\"a\":{\"auth\":\"***secret\"}}}").find("a"))
                .isInstanceOf(ImageException.class).hasMessageContaining("config.json")
                .hasMessageNotContaining("secret");
        assertThatThrownBy(() -> with("{").find("a")).isInstanceOf(ImageException.class);
    }

    private RegistryCredentials with(String json) throws IOException {
        return new DockerConfigCredentials(Files.writeString(directory.resolve("config.json"), json));
    }
}
