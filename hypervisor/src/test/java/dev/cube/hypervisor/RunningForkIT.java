package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Forks of VMs that are not stopped for it. {@code -Dcube.soak=10000} gives ten times the number of each VM's states. */
class RunningForkIT {
    private static final int STATES = Math.max(8, Integer.getInteger("cube.soak", 0) / 10);
    private static final String PLACE = "/dev/vdb 700000000";
    /** After which a disk counts as not being written to, with some to spare. */
    private static final Duration SETTLES = Duration.ofMillis(200);

    private TestNode node;
    private QemuHypervisor hypervisor;

    @BeforeEach
    void open() throws IOException {
        node = TestNode.create();
        hypervisor = node.hypervisor();
    }

    @AfterEach
    void close() throws IOException {
        node.close();
    }

    @ParameterizedTest
    @CsvSource({"1, 256", "2, 512", "4, 256"})
    void copiesOfABusyVmAreSoundAndSoIsTheVm(int vcpus, int memoryMib) throws Exception {
        Vm source = hypervisor.start(node.template(new VmShape(vcpus, memoryMib)));
        try {
            SoakGuest guest = new SoakGuest(source);
            guest.makeBusyWithoutDisk();
            for (int i = 0; i < STATES; i++) {
                Thread.sleep(SETTLES);
                if (i % 2 == 0) {
                    cloneOnce(source);
                } else {
                    snapshotOnce(source, i);
                }
            }
            assertThat(guest.isSoundChild()).isTrue();
        } finally {
            source.kill();
        }
        // The more processors there are, and the busier the host is, the seldomer are all at rest together.
        if (vcpus == 1) {
            assertThat(hypervisor.forkedRunning()).as("states that the VM was not stopped for").isPositive();
        }
    }

    private static void cloneOnce(Vm source) throws IOException {
        Vm copy;
        try (FrozenVm frozen = source.freeze(1)) {
            copy = frozen.startLast();
        }
        checkAndKill(copy);
    }

    private void snapshotOnce(Vm source, int number) throws IOException {
        VmSnapshot snapshot = source.snapshot(node.root().resolve("snapshot-" + number));
        checkAndKill(hypervisor.start(snapshot.image()));
        snapshot.durable().toCompletableFuture().join();
        checkAndKill(hypervisor.start(snapshot.image()));
        hypervisor.discard(snapshot.image().directory());
    }

    private static void checkAndKill(Vm copy) throws IOException {
        try {
            assertThat(new SoakGuest(copy).isSoundChild()).isTrue();
        } finally {
            copy.kill();
        }
    }

    /** The guest says in memory what it is about to write to the disk, now and then: whatever is in a copy's memory was on the disk. */
    @Test
    void aCopysDiskIsAsOldAsItsMemory() throws Exception {
        Vm source = hypervisor.start(node.template(new VmShape(2, 256)));
        try {
            Guest.ask(source, "fill 1 1");
            Guest.ask(source, "poke 0 0");
            Guest.ask(source, "write " + PLACE + " 0");
            AtomicBoolean over = new AtomicBoolean();
            CompletableFuture<Void> writer = CompletableFuture.runAsync(() -> writeNowAndThen(source, over), Thread::startVirtualThread);
            try {
                for (int i = 0; i < 3 * STATES; i++) {
                    Thread.sleep(90 + i % 40);
                    checkAge(source);
                }
            } finally {
                over.set(true);
            }
            writer.join();
        } finally {
            source.kill();
        }
        assertThat(hypervisor.forkedRunning()).as("states that the VM was not stopped for").isPositive();
    }

    private static void writeNowAndThen(Vm vm, AtomicBoolean over) {
        try {
            for (int i = 1; !over.get(); i++) {
                Guest.ask(vm, "poke 0 " + i);
                Guest.ask(vm, "write " + PLACE + " " + i);
                Thread.sleep(130);
            }
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void checkAge(Vm source) throws IOException {
        try (FrozenVm frozen = source.freeze(2)) {
            for (Vm copy : new Vm[] {frozen.start(), frozen.startLast()}) {
                try (Guest guest = Guest.connect(copy)) {
                    guest.skipOldAnswers();
                    int inMemory = Integer.parseInt(guest.ask("peek 0"));
                    assertThat(Integer.parseInt(guest.ask("read " + PLACE))).isBetween(inMemory - 1, inMemory);
                } finally {
                    copy.kill();
                }
            }
        }
    }
}
