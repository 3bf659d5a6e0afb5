package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Artifacts for this module's tests: kernel and modules from the directory that the system property {@code cube.artifacts}
 * names, this module's own library, and an initramfs with the init of {@code src/test/c}.
 */
final class TestArtifacts {
    private static Path built;

    private TestArtifacts() {}

    static synchronized Path directory() {
        if (built == null) {
            try {
                built = build();
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }
        return built;
    }

    private static Path build() throws IOException {
        String property = System.getProperty("cube.artifacts", "/var/lib/cube/artifacts");
        Path given = Path.of(property);
        assertThat(given.resolve("modules").resolve("load-order"))
                .as("guest kernel modules; build the artifacts, and name their directory with -Dcube.artifacts")
                .isRegularFile();
        Path directory = Path.of("target", "test-artifacts").toAbsolutePath();
        Files.createDirectories(directory);
        run(List.of("make", "-s", "-C", "src/main/c", "OUT=" + directory, "all", "absent"));
        Path kernel = directory.resolve("vmlinux");
        Files.deleteIfExists(kernel);
        Files.createSymbolicLink(kernel, Artifacts.kernelIn(given));
        Files.write(directory.resolve("initramfs.cpio"), initramfs(given, directory));
        return directory;
    }

    private static byte[] initramfs(Path given, Path directory) throws IOException {
        Path init = directory.resolve("init");
        run(List.of("cc", "-O2", "-static", "-Wall", "-Werror", "-o", init.toString(), "src/test/c/init.c"));
        CpioArchive archive = new CpioArchive();
        List.of("proc", "sys", "dev", "modules").forEach(archive::directory);
        archive.file("init", 0755, Files.readAllBytes(init));
        Path order = given.resolve("modules").resolve("load-order");
        archive.file("modules/load-order", 0644, Files.readAllBytes(order));
        for (String module : Files.readAllLines(order)) {
            String name = module.strip() + ".ko";
            archive.file("modules/" + name, 0644, Files.readAllBytes(order.resolveSibling(name)));
        }
        return archive.finish();
    }

    private static void run(List<String> command) throws IOException {
        Process process = new ProcessBuilder(command).inheritIO().start();
        try {
            assertThat(process.waitFor(60, TimeUnit.SECONDS)).as(command + " ends").isTrue();
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
        assertThat(process.exitValue()).as(command.toString()).isZero();
    }
}
