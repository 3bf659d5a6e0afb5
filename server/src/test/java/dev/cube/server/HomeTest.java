package dev.cube.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HomeTest {
    @TempDir
    private Path temporary;

    @Test
    void isOneServersOnly() throws Exception {
        Path directory = temporary.resolve("a/b");
        try (Home home = Home.open(directory)) {
            assertThat(home.directory()).isDirectory();
            assertThatThrownBy(() -> Home.open(directory)).isInstanceOf(StartupException.class)
                    .hasMessage("a server is running on %s: stop it, or name another directory with --home or CUBE_HOME",
                            directory);
        }
        Home.open(directory).close();
    }

    @Test
    void mustBeADirectory() throws Exception {
        Path file = Files.writeString(temporary.resolve("file"), "");

        assertThatThrownBy(() -> Home.open(file)).isInstanceOf(StartupException.class)
                .hasMessageContaining("--home or CUBE_HOME").hasMessageNotContaining("\n");
        assertThatThrownBy(() -> Home.open(file.resolve("below"))).isInstanceOf(StartupException.class)
                .hasMessageContaining("--home or CUBE_HOME");
    }

    @Test
    void serverFileComesAndGoes() throws Exception {
        try (Home home = Home.open(temporary)) {
            var file = new ServerFile(home);
            file.write(new ServerFile.Content(7, "http://127.0.0.1:3000", "cube.localhost:8443",
                    "https://127.0.0.1:8443", "/h/ca.pem", "/h/bundle.pem", false, null));
            assertThat(temporary.resolve("server.json")).content().isEqualTo("""
                    {
                      "pid" : 7,
                      "apiUrl" : "http://127.0.0.1:3000",
                      "domain" : "cube.localhost:8443",
                      "proxyUrl" : "https://127.0.0.1:8443",
                      "caCertificate" : "/h/ca.pem",
                      "caBundle" : "/h/bundle.pem",
                      "apiKeyRequired" : false
                    }""");
            file.remove();
            file.remove();
            try (var left = Files.list(temporary)) {
                assertThat(left).containsExactly(temporary.resolve("server.lock"));
            }
        }
    }
}
