package dev.cube.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.hypervisor.LiveForkChoice;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

class ServerOptionsTest {
    private static ServerConfig parse(String... arguments) {
        var options = new ServerOptions();
        new CommandLine(CommandLine.Model.CommandSpec.forAnnotatedObject(options)).parseArgs(arguments);
        return options.toConfig();
    }

    @Test
    void hasDefaults() {
        ServerConfig config = parse("--home", "/srv/cube");

        assertThat(config).isEqualTo(new ServerConfig(Path.of("/srv/cube"), Path.of("/srv/cube/artifacts"),
                new Endpoint(List.of("127.0.0.1", "::1"), 3000), new Endpoint(List.of("127.0.0.1", "::1"), 8443),
                "cube.localhost", OptionalInt.empty(), "auto", LiveForkChoice.ON));
    }

    @Test
    void takesAll() {
        ServerConfig config = parse("--home", "/a", "--artifacts", "/b/../c", "--api-host", "0.0.0.0", "--api-port",
                "0", "--proxy-host", "127.0.0.1", "--proxy-port", "443", "--domain", "Sandbox.Example.com:443",
                "--accel", "tcg", "--live-fork", "off");

        assertThat(config).isEqualTo(new ServerConfig(Path.of("/a"), Path.of("/c"),
                new Endpoint(List.of("0.0.0.0"), 0), new Endpoint(List.of("127.0.0.1"), 443), "sandbox.example.com",
                OptionalInt.of(443), "tcg", LiveForkChoice.OFF));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a b", "-a", "a..b", "a:99999", "a:x", "a/b", "*.a"})
    void refusesWhatIsNoDomain(String domain) {
        assertThatThrownBy(() -> parse("--domain", domain)).isInstanceOf(StartupException.class)
                .hasMessageContaining("--domain");
    }

    @Test
    void refusesWhatIsNeitherOnNorOff() {
        assertThatThrownBy(() -> parse("--live-fork", "maybe")).isInstanceOf(StartupException.class)
                .hasMessageContaining("--live-fork");
    }

    @Test
    void refusesWhatIsNoPort() {
        assertThatThrownBy(() -> parse("--api-port", "65536")).isInstanceOf(StartupException.class)
                .hasMessage("65536 is not a port: give --api-port 0 to 65535");
    }
}
