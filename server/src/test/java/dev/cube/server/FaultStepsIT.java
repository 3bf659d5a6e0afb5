package dev.cube.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/**
 * {@code kill -9} of QEMUs and of the server, and a full disk, at the steps of every operation: it has happened then or it has
 * not, and nothing else has changed. Some of the cases only, all with {@code -Dcube.faults=100000}; by images instead of forks with
 * {@code -Dcube.faults.livefork=off}, of one operation with {@code -Dcube.faults.operation=SNAPSHOT}, of sandboxes that have written
 * to so much of their memory that images of it are written past the page cache with {@code -Dcube.faults.megabytes=72}. The server's disk is a file system
 * in memory, mounted in a mount namespace of its own, which is gone with the process that works in it.
 */
@EnabledIfSystemProperty(named = "cube.artifacts", matches = ".+")
@EnabledIf("isRoot")
class FaultStepsIT {
    private static final int CASES = Integer.getInteger("cube.faults", 8);
    private static final int MEGABYTES = Integer.getInteger("cube.faults.megabytes", 0);
    private static final String OPERATION = System.getProperty("cube.faults.operation", "");
    private static final String LIVE_FORK = System.getProperty("cube.faults.livefork", "on");
    private static final String MOUNTED =
            "mount -t tmpfs -o size=1536M,mode=700 none \"$1\" && shift && exec \"$@\"";

    private Path root;

    static boolean isRoot() {
        return System.getProperty("user.name").equals("root");
    }

    @BeforeEach
    void makeRoot() throws Exception {
        // Not JUnit's directory: paths of sockets must be short.
        root = Files.createTempDirectory("fs");
    }

    @AfterEach
    void removeRoot() throws Exception {
        try (Stream<Path> files = Files.walk(root)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    @Test
    void anOperationWithAFaultHasHappenedOrHasNot() throws Exception {
        Path home = Files.createDirectory(root.resolve("home"));
        Path output = root.resolve("output");
        Process run = new ProcessBuilder("unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNTED, "sh",
                home.toString(), ProcessHandle.current().info().command().orElseThrow(),
                "--enable-native-access=ALL-UNNAMED", "-Xmx" + (256 + 4 * MEGABYTES) + "m", "-cp", System.getProperty("java.class.path"),
                FaultStepsRun.class.getName(), root.toString(),
                Path.of(System.getProperty("cube.artifacts")).toAbsolutePath().toString(), Integer.toString(CASES), LIVE_FORK,
                Integer.toString(MEGABYTES), OPERATION)
                .redirectErrorStream(true).redirectOutput(output.toFile()).start();
        try {
            assertThat(run.waitFor(6, TimeUnit.HOURS)).as("it ends").isTrue();
        } finally {
            run.destroyForcibly();
            TestedServer.qemus(home).forEach(ProcessHandle::destroyForcibly);
        }
        String text = Files.readString(output);
        System.out.println(text);
        assertThat(run.exitValue()).as(text).isZero();
        assertThat(text.lines().filter(line -> line.startsWith("FAILED: "))).isEmpty();
        assertThat(text).endsWith("failed: 0\n");
        assertThat(home).isEmptyDirectory();
    }
}
