package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Live fork without a VM: of a process of src/test/c/livefork_test.c that waits in all the ways in which QEMU waits. */
class LiveForkLibraryIT {
    private static final Path PROGRAM = Path.of("target", "livefork-test").toAbsolutePath();

    @TempDir
    private Path directory;

    @BeforeAll
    static void compile() throws Exception {
        Process compiler = new ProcessBuilder("cc", "-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror",
                "-Isrc/main/c", "-o", PROGRAM.toString(), "src/test/c/livefork_test.c", "src/main/c/livefork.c",
                "-lpthread", "-lm").inheritIO().start();
        assertThat(compiler.waitFor()).isZero();
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "family",       // children of children, together: threads go on, descriptors and files are each one's own
        "repeated",     // 200 forks at any moment
        "refusals",     // what cannot be accounted for is refused, and nothing has happened then
        "running",      // in the midst of a processor's code, with the disk as it was
        "unreachable",  // a child that cannot complete ends with words
    })
    void holds(String scenario) throws Exception {
        Path output = directory.resolve("output");
        Process process = new ProcessBuilder(List.of(PROGRAM.toString(), scenario))
                .redirectErrorStream(true).redirectOutput(output.toFile()).start();
        boolean ended = process.waitFor(5, TimeUnit.MINUTES);
        process.destroyForcibly();
        assertThat(Files.readString(output, StandardCharsets.UTF_8)).isEmpty();
        assertThat(ended).as("ends").isTrue();
        assertThat(process.waitFor()).isZero();
    }

    @Test
    void theTestFindsFaults() throws Exception {
        Process process = new ProcessBuilder(PROGRAM.toString(), "nothing").redirectErrorStream(true).start();
        assertThat(new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)).contains("no such case");
        assertThat(process.waitFor()).isEqualTo(1);
    }
}
