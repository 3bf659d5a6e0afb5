package dev.cube.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MasterCliTest {
    private final StringWriter err = new StringWriter();

    @ParameterizedTest
    @ValueSource(strings = {
        "tpl create-from-image",
        "tpl create-from-image --image x --memory lots",
        "tpl create-from-image --image x --expose-port web",
        "tpl info",
        "destroy",
        "destroy --all one",
        "snapshot create",
        "snapshot delete",
        "apikey create",
        "list -o yaml",
        "lost"})
    void explainsWhatIsWrongWithACall(String line) {
        assertThat(run(line.split(" "))).isEqualTo(2);
        assertThat(err.toString().lines().findFirst().orElseThrow()).startsWith("cubemastercli: ");
        assertThat(err.toString().lines().count()).isLessThanOrEqualTo(2);
    }

    @Test
    void givesTheServerAbsolutePaths() {
        String here = Path.of("").toAbsolutePath().toString();
        assertThat(CreateFromImageCommand.absolute("oci:image:tag")).isEqualTo("oci:" + here + "/image:tag");
        assertThat(CreateFromImageCommand.absolute("docker-archive:../a.tar"))
                .isEqualTo("docker-archive:" + Path.of(here).getParent() + "/a.tar");
        assertThat(CreateFromImageCommand.absolute("oci-archive:/a.tar")).isEqualTo("oci-archive:/a.tar");
        assertThat(CreateFromImageCommand.absolute("registry.example/repo:tag")).isEqualTo("registry.example/repo:tag");
    }

    private int run(String... args) {
        return MasterCli.commandLine().setErr(new PrintWriter(err, true)).execute(args);
    }
}
