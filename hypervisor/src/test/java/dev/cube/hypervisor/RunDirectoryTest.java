package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunDirectoryTest {
    @TempDir
    Path home;

    private Path memory;

    @BeforeEach
    void makePlace() throws IOException {
        Path shared = Path.of("/dev/shm");
        assumeThat((int) Files.getAttribute(Path.of("/proc/self"), "unix:uid")).isLessThan(1000);
        assumeThat(Files.isWritable(shared) && Files.getFileStore(shared).type().equals("tmpfs")).isTrue();
        memory = Files.createTempDirectory(shared, "cube-test");
    }

    @AfterEach
    void removePlace() {
        if (memory != null) {
            VmDirectory.deleteTree(memory);
        }
    }

    private Path open() {
        return RunDirectory.open(home, List.of(home.resolve("missing"), memory)).orElseThrow();
    }

    private Path link() {
        return home.resolve("run");
    }

    @Test
    void isInMemoryForItsOwnerAlone() throws Exception {
        Path directory = open();
        assertThat(directory).hasParentRaw(memory);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(directory))).isEqualTo("rwx------");
        assertThat(link()).isSymbolicLink();
        assertThat(Files.readSymbolicLink(link())).isEqualTo(directory);
    }

    @Test
    void staysAsLongAsThereIsSomethingInIt() throws Exception {
        Path directory = open();
        Path vm = Files.createDirectory(directory.resolve("vm"));
        RunDirectory.close(home, directory, Duration.ZERO);
        assertThat(open()).isEqualTo(directory);
        Files.delete(vm);
        RunDirectory.close(home, directory, Duration.ZERO);
        assertThat(memory).isEmptyDirectory();
        assertThat(home).isEmptyDirectory();
    }

    /** As when memory has become scarce: VMs that run have their sockets there. */
    @Test
    void staysThoughNoneWouldBeMadeThereNow() {
        Path directory = open();
        assertThat(RunDirectory.open(home, List.of())).contains(directory);
    }

    @Test
    void isMadeAnewAfterTheMachineHasStartedAnew() throws Exception {
        Path directory = open();
        Files.delete(directory);
        assertThat(open()).isEqualTo(directory).isDirectory();
    }

    @Test
    void isAnotherWhereSomebodyElseMadeItFirst() throws Exception {
        Path directory = open();
        Files.delete(directory);
        Files.createSymbolicLink(directory, Files.createDirectory(memory.resolve("theirs")));
        assertThat(open()).isNotEqualTo(directory).isDirectory();
    }

    @Test
    void isNoneOnADisk() throws Exception {
        assumeThat(Files.getFileStore(home).type()).isNotEqualTo("tmpfs");
        assertThat(RunDirectory.open(home, List.of(home))).isEmpty();
        assertThat(home).isEmptyDirectory();
    }

    @Test
    void isNoneWhereTheLinkLeadsElsewhere() throws Exception {
        Path elsewhere = Files.createDirectory(home.resolve("elsewhere"));
        Files.createSymbolicLink(link(), elsewhere);
        assumeThat(Files.getFileStore(home).type()).isNotEqualTo("tmpfs");
        assertThat(RunDirectory.open(home, List.of(home.resolve("missing")))).isEmpty();
        assertThat(elsewhere).isDirectory();
        assertThat(link()).doesNotExist();
    }
}
