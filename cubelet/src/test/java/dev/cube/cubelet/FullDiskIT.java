package dev.cube.cubelet;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Templates made on a disk of little room: a file system in memory, mounted in a mount namespace of its own, which is
 * gone with the process that works in it.
 */
@EnabledIf("isRoot")
@Timeout(value = 4, unit = TimeUnit.MINUTES)
class FullDiskIT {
    private static final String MOUNTED = "mount -t tmpfs -o size=256M,mode=700 none \"$1\" && shift && exec \"$@\"";

    private Path root;

    static boolean isRoot() {
        return System.getProperty("user.name").equals("root");
    }

    @BeforeEach
    void makeRoot() throws Exception {
        // Not JUnit's directory: paths of sockets must be short.
        root = Files.createTempDirectory("fd");
    }

    @AfterEach
    void removeRoot() {
        TemplateFiles.delete(root);
    }

    /** Where it ends: the image is unpacked, the disk is written, the guest boots and fills its memory. */
    @ParameterizedTest
    @ValueSource(ints = {1, 9, 24})
    void aTemplateForWhichThereIsNoRoomFailsAndLeavesNothing(int roomMib) throws Exception {
        Path image = OciLayout.make(root.resolve("oci"), List.of("sh", "sync"), "{\"Env\": [\"PATH=/bin\"]}");
        Path disk = Files.createDirectory(root.resolve("d"));
        String artifacts = Path.of(System.getProperty("cube.artifacts", "/var/lib/cube/artifacts")).toAbsolutePath()
                .toString();
        Process build = new ProcessBuilder("unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNTED, "sh",
                disk.toString(), ProcessHandle.current().info().command().orElseThrow(),
                "--enable-native-access=ALL-UNNAMED", "-Xmx128m", "-cp", System.getProperty("java.class.path"),
                FullDiskBuild.class.getName(), disk.toString(), artifacts, image.toString(),
                Integer.toString(roomMib))
                .redirectErrorStream(true).start();
        String output;
        try {
            output = new String(build.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertThat(build.waitFor()).as(output).isZero();
        } finally {
            build.destroyForcibly();
        }

        assertThat(output.lines().filter(line -> line.startsWith("failed: "))).as(output).singleElement().asString()
                .contains("No space left on device");
        assertThat(output).doesNotContain("left: ");
        assertThat(disk).isEmptyDirectory();
    }
}
