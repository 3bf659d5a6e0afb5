package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AbsentLibrariesIT {
    private static final String CAPSTONE = "libcapstone.so.4";
    private static final String QEMU = "qemu-system-x86_64";

    @Test
    void aVmHasNoneOfThem() throws IOException {
        List<String> absent;
        try (Stream<Path> files = Files.list(absentLibraries())) {
            absent = files.filter(Files::isSymbolicLink).map(file -> file.getFileName().toString()).toList();
        }
        assertThat(absent).contains(CAPSTONE);
        try (TestNode node = TestNode.create()) {
            Vm vm = node.hypervisor().boot(node.bootSpec(TestNode.SMALL));
            String mappings = Files.readString(Path.of("/proc/" + vm.pid() + "/maps"));
            assertThat(mappings).contains("/libcubeabsent.so").contains("/libglib-2.0.so");
            assertThat(absent).allSatisfy(library ->
                    assertThat(mappings).doesNotContain("/" + library.substring(0, library.indexOf(".so")) + ".so"));
            vm.kill();
        }
    }

    /** As after an update of QEMU that has it use another function of one. */
    @Test
    void aQemuThatCannotDoWithoutThemHasThemAll(@TempDir Path others) throws IOException {
        Files.createFile(others.resolve(CAPSTONE));
        Artifacts artifacts = Artifacts.in(TestArtifacts.directory());
        assertThat(artifacts.fitFor(QEMU).absentLibraries()).contains(absentLibraries());
        assertThat(new Artifacts(artifacts.kernel(), artifacts.initramfs(), artifacts.memoryLibrary(), Optional.of(others))
                .fitFor(QEMU).absentLibraries()).isEmpty();
    }

    /** As where a QEMU calls a function of one when it starts. */
    @Test
    void aQemuThatEndsForWantOfThemHasThemAll(@TempDir Path directory) throws IOException {
        Path qemu = directory.resolve("qemu");
        Files.writeString(qemu, """
                #!/bin/sh
                [ -z "$LD_LIBRARY_PATH" ] || kill -ABRT $$
                exec %s "$@"
                """.formatted(QEMU));
        Files.setPosixFilePermissions(qemu, PosixFilePermissions.fromString("rwx------"));
        assertThat(Artifacts.in(TestArtifacts.directory()).fitFor(qemu.toString()).absentLibraries()).isEmpty();
    }

    private static Path absentLibraries() {
        return TestArtifacts.directory().resolve("absent");
    }
}
