package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A state directory of a test, with disks; it checks when closed that no process of it is left. */
final class TestNode implements AutoCloseable {
    static final String BASE_TEXT = "the-base-disk";
    static final VmShape SMALL = new VmShape(1, 256);
    static final int FORKS_READY = 2;

    private final Path root;
    private HypervisorConfig config;
    private QemuHypervisor hypervisor;

    private TestNode(Path root, HypervisorConfig config) {
        this.root = root;
        this.config = config;
    }

    static TestNode create() throws IOException {
        // Not JUnit's directory: paths of sockets must be short.
        Path root = Files.createTempDirectory("hv");
        Path base = root.resolve("base.img");
        try (RandomAccessFile file = new RandomAccessFile(base.toFile(), "rw")) {
            file.setLength(64 << 20);
            file.write(BASE_TEXT.getBytes(StandardCharsets.US_ASCII));
            file.seek(60 << 20);
            file.write("far-on-the-base".getBytes(StandardCharsets.US_ASCII));
        }
        try (RandomAccessFile file = new RandomAccessFile(root.resolve("writable.img").toFile(), "rw")) {
            file.setLength(1 << 30);
            file.write("the-writable-disk".getBytes(StandardCharsets.US_ASCII));
        }
        HypervisorConfig config = HypervisorConfig.of(root.resolve("home"), TestArtifacts.directory())
                .withAccelerator(AcceleratorChoice.parse(System.getProperty("cube.accel", "tcg"))).withPool(2, 2, FORKS_READY);
        Files.createDirectories(config.home());
        return new TestNode(root, config);
    }

    Path root() {
        return root;
    }

    HypervisorConfig config() {
        return config;
    }

    BootSpec bootSpec(VmShape shape) {
        return new BootSpec(shape, root.resolve("base.img"), root.resolve("writable.img"));
    }

    /** Before the hypervisor is used. */
    void use(LiveForkChoice choice) {
        config = config.withLiveFork(choice);
    }

    /** Before the hypervisor is used. */
    void usePool(int blanks) {
        config = config.withPool(blanks, 2, FORKS_READY);
    }

    QemuHypervisor hypervisor() {
        if (hypervisor == null) {
            hypervisor = TestFindings.open(config);
        }
        return hypervisor;
    }

    /** A VM that was booted and captured, by this test or one before it. To be asked for once for each shape. */
    VmImage template(VmShape shape) {
        Path directory = root.resolve("template-" + shape.vcpus() + "-" + shape.memoryMib());
        TestFindings.template(shape, () -> hypervisor().boot(bootSpec(shape)), directory);
        return hypervisor().open(directory);
    }

    /** So that hypervisors that a test opens by itself need not look for it. */
    void findAccelerator() {
        hypervisor().close();
        hypervisor = null;
    }

    /** As if the server had ended and were started again. */
    QemuHypervisor restart() {
        hypervisor.close();
        hypervisor = null;
        return hypervisor();
    }

    /** What is in memory, where VMs have something there. */
    private Path run() {
        return config.home().resolve("run");
    }

    Path vms() {
        return config.home().resolve("vms");
    }

    List<Long> processes() {
        return ProcessHandle.allProcesses().map(ProcessHandle::pid).filter(pid -> {
            try {
                return Files.readSymbolicLink(Path.of("/proc/" + pid + "/cwd")).startsWith(vms());
            } catch (IOException e) {
                return false;
            }
        }).toList();
    }

    @Override
    public void close() throws IOException {
        if (hypervisor != null) {
            hypervisor.close();
        }
        List<Long> left = processes();
        left.forEach(pid -> ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly));
        List<Path> directories;
        try (var entries = Files.list(vms())) {
            directories = entries.toList();
        }
        boolean inMemory = Files.isSymbolicLink(run());
        if (inMemory) {
            VmDirectory.deleteTree(Files.readSymbolicLink(run()));
        }
        VmDirectory.deleteTree(root);
        assertThat(inMemory).as("files left in memory").isFalse();
        assertThat(left).as("processes left behind").isEmpty();
        assertThat(directories).as("directories left behind").isEmpty();
    }
}
