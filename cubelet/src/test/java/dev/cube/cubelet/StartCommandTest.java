package dev.cube.cubelet;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.guest.ProcessSpec;
import dev.cube.image.ImageConfig;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StartCommandTest {
    private static ImageConfig config(List<String> entrypoint, List<String> command, String workingDir) {
        return new ImageConfig("sha256:0", Map.of(), entrypoint, command, "", workingDir, List.of());
    }

    @Test
    void joinsEntrypointAndCommand() {
        ProcessSpec spec = StartCommand.of(config(List.of("/entry.sh"), List.of("serve", "-p", "80"), "/srv"), "www")
                .orElseThrow();
        assertThat(spec.command()).isEqualTo("/entry.sh");
        assertThat(spec.args()).containsExactly("serve", "-p", "80");
        assertThat(spec.cwd()).contains("/srv");
        assertThat(spec.user()).isEqualTo("www");
        assertThat(spec.tag()).contains(StartCommand.TAG);
    }

    @Test
    void startsWhatAShellIsToldToRun() {
        assertThat(StartCommand.of(config(List.of(), List.of("/bin/sh", "-c", "nginx"), ""), "root"))
                .map(ProcessSpec::cwd).contains(Optional.of("/"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "bash", "/bin/sh", "/bin/bash -l", "/usr/bin/zsh -i --login"})
    void startsNoIdleShell(String command) {
        List<String> words = command.isEmpty() ? List.of() : List.of(command.split(" "));
        assertThat(StartCommand.of(config(List.of(), words, ""), "root")).isEmpty();
    }
}
