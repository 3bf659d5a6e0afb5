package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class BootIT {
    private static final BootPatience SHORT = patience(6);

    private static BootPatience patience(int cpuSeconds) {
        return new BootPatience(Duration.ofMillis(500), Duration.ofSeconds(cpuSeconds), 20, Duration.ofSeconds(180));
    }

    private TestNode node;

    @BeforeEach
    void open() throws Exception {
        node = TestNode.create();
    }

    @AfterEach
    void close() throws Exception {
        node.close();
    }

    /** A QEMU whose guest hangs in its first boots: with no init the kernel panics and spins, if it comes that far. */
    private Path hangingQemu(int hangs) throws Exception {
        Path script = node.root().resolve("hanging-qemu");
        Path count = node.root().resolve("boots");
        Files.writeString(script, """
                #!/bin/sh
                case "$*" in *-kernel*) ;; *) exec qemu-system-x86_64 "$@" ;; esac
                echo boot >> %1$s
                export LD_PRELOAD=%2$s
                if [ $(wc -l < %1$s) -le %3$d ]; then
                    exec qemu-system-x86_64 "$@" -append "console=ttyS0 rdinit=/none panic=0 tsc=reliable"
                fi
                exec qemu-system-x86_64 "$@"
                """.formatted(count, node.config().artifacts().resolve("libcubemem.so"), hangs));
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
        return script;
    }

    private long boots() throws Exception {
        return Files.readAllLines(node.root().resolve("boots")).size();
    }

    @Test
    void aBootThatHangsIsTriedAgain() throws Exception {
        node.findAccelerator();
        try (QemuHypervisor hypervisor =
                QemuHypervisor.open(node.config().withQemu(hangingQemu(1).toString()), SHORT)) {
            Vm vm = hypervisor.boot(node.bootSpec(TestNode.SMALL));
            try {
                assertThat(Guest.ask(vm, "ping")).isEqualTo("pong");
                assertThat(boots()).isEqualTo(2);
            } finally {
                vm.kill();
            }
        }
    }

    @Test
    void aBootThatAlwaysHangsFailsWithWhatTheGuestSaid() throws Exception {
        node.findAccelerator();
        try (QemuHypervisor hypervisor =
                QemuHypervisor.open(node.config().withQemu(hangingQemu(100).toString()), patience(2))) {
            assertThatThrownBy(() -> hypervisor.boot(node.bootSpec(TestNode.SMALL)))
                    .isInstanceOf(HypervisorException.class)
                    .hasMessageContaining("processor time").hasMessageContaining("it printed last");
            assertThat(boots()).isEqualTo(3);
            assertThat(node.vms()).isEmptyDirectory();
        }
    }

    @Test
    void qemusOwnWordsAreInTheError() throws Exception {
        BootSpec spec = new BootSpec(TestNode.SMALL, node.root(), node.root().resolve("writable.img"));
        assertThatThrownBy(() -> node.hypervisor().boot(spec))
                .isInstanceOf(HypervisorException.class).hasMessageContaining("regular file");
        assertThat(node.vms()).isEmptyDirectory();
    }

    @Test
    void theAcceleratorIsRememberedUntilTheMachineChanges() throws Exception {
        Path qemu = hangingQemu(0);
        HypervisorConfig config = node.config().withQemu(qemu.toString());
        QemuHypervisor.open(config).close();
        assertThat(boots()).isEqualTo(1);
        QemuHypervisor.open(config).close();
        assertThat(boots()).as("remembered").isEqualTo(1);
        Path memory = config.home().resolve("accelerator.json");
        Files.writeString(memory, Files.readString(memory).replace("TCG;", "AUTO;"));
        QemuHypervisor.open(config).close();
        assertThat(boots()).as("found for something else").isEqualTo(2);
    }

    @Test
    void oneServerAtATime() {
        node.hypervisor();
        assertThatThrownBy(() -> QemuHypervisor.open(node.config())).isInstanceOf(HypervisorException.class)
                .hasMessageContaining("another server");
    }

    @Test
    void whatIsMissingIsNamed() throws Exception {
        HypervisorConfig config = node.config();
        Path deep = Files.createDirectories(node.root().resolve("x".repeat(100)));
        assertThatThrownBy(() -> QemuHypervisor.open(HypervisorConfig.of(deep, config.artifacts())))
                .hasMessageContaining("too long for unix sockets");
        assertThatThrownBy(() -> QemuHypervisor.open(HypervisorConfig.of(config.home(), node.root())))
                .hasMessageContaining("guest kernel").hasMessageContaining("build the artifacts");
        assertThatThrownBy(() -> QemuHypervisor.open(config.withQemu("no-such-qemu")))
                .hasMessageContaining("install the package qemu-system-x86");
        node.hypervisor();
    }
}
