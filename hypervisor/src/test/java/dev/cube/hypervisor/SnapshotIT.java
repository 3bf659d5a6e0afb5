package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Snapshots, frozen states and suspended VMs, by live fork and by image. */
class SnapshotIT {
    private final List<Vm> vms = new ArrayList<>();
    private TestNode node;
    private VmImage template;

    @BeforeEach
    void open() throws Exception {
        node = TestNode.create();
    }

    @AfterEach
    void close() throws Exception {
        vms.forEach(Vm::kill);
        node.close();
    }

    private void use(LiveForkChoice choice) {
        node.use(choice);
        template = node.template(TestNode.SMALL);
    }

    private Vm start(VmImage image) {
        return keep(node.hypervisor().start(image));
    }

    private Vm keep(Vm vm) {
        vms.add(vm);
        return vm;
    }

    private Path place(String name) {
        return node.root().resolve(name);
    }

    private static void awaitDurable(VmSnapshot snapshot) throws Exception {
        snapshot.durable().toCompletableFuture().get(60, TimeUnit.SECONDS);
    }

    @ParameterizedTest
    @EnumSource(names = {"ON", "OFF"})
    void aSnapshotIsUsableAtOnceAndAfterwards(LiveForkChoice choice) throws Exception {
        use(choice);
        Vm source = start(template);
        try (Guest guest = Guest.connect(source)) {
            guest.ask("fill 16 1");
            guest.ask("write /dev/vdb 4096 before");
            String sum = guest.ask("sum");
            VmSnapshot snapshot = source.snapshot(place("snapshot"));
            assertThat(guest.ask("ping")).as("the connection goes on").isEqualTo("pong");
            guest.ask("fill 16 2");
            guest.ask("write /dev/vdb 4096 behind");
            for (int i = 0; i < 2; i++) {
                Vm copy = start(snapshot.image());
                assertThat(Guest.ask(copy, "sum")).isEqualTo(sum);
                assertThat(Guest.ask(copy, "read /dev/vdb 4096")).isEqualTo("before");
                Guest.ask(copy, "write /dev/vdb 4096 copied");
                awaitDurable(snapshot);
            }
            assertThat(guest.ask("read /dev/vdb 4096")).isEqualTo("behind");
            assertThat(snapshot.writtenBytes().orElseThrow()).isGreaterThan(16 << 20);
            source.kill();
            VmImage image = node.hypervisor().open(place("snapshot"));
            assertThat(Guest.ask(start(image), "sum")).isEqualTo(sum);
        }
    }

    @Test
    void copiesAreForkedAheadWhereThereHaveBeenSome() throws Exception {
        use(LiveForkChoice.ON);
        Vm source = start(template);
        Guest.ask(source, "fill 4 1");
        String sum = Guest.ask(source, "sum");
        VmSnapshot snapshot = source.snapshot(place("snapshot"));
        awaitDurable(snapshot);
        assertThat(ready()).isZero();
        for (int i = 0; i < 3 * TestNode.FORKS_READY; i++) {
            Vm copy = start(snapshot.image());
            assertThat(Guest.ask(copy, "sum")).isEqualTo(sum);
            Guest.ask(copy, "poke 0 " + i);
        }
        await().atMost(Duration.ofSeconds(60)).until(() -> ready() == TestNode.FORKS_READY);
        node.hypervisor().discard(place("snapshot"));
        await().atMost(Duration.ofSeconds(60)).until(() -> ready() == 0);
    }

    /** VMs of an image that nobody has been handed: such are written down. */
    private long ready() throws IOException {
        try (Stream<Path> directories = Files.list(node.vms())) {
            return directories.map(node.hypervisor().commonMachine().directories()::of)
                    .filter(vm -> Files.exists(vm.path().resolve(ImageManifest.FILE)) && Files.exists(vm.qmpSocket())
                            && Files.notExists(vm.vmRecord())).count();
        }
    }

    /** The source's host does not read, so that its guest's output is held back; the copies have hosts of their own. */
    @ParameterizedTest
    @EnumSource(names = {"ON", "OFF"})
    void copiesAnswerThoughTheSourceWasInTheMidstOfAnAnswer(LiveForkChoice choice) throws Exception {
        use(choice);
        Vm source = start(template);
        try (Guest guest = Guest.connect(source)) {
            guest.tell("lines 5000");
            guest.readLine();
            VmSnapshot snapshot = source.snapshot(place("snapshot"));
            assertAnswers(start(snapshot.image()));
            try (FrozenVm frozen = source.freeze(1)) {
                for (int i = 0; i < 3; i++) {
                    assertAnswers(keep(frozen.start()));
                }
            }
            awaitDurable(snapshot);
            source.kill();
        }
        assertAnswers(start(node.hypervisor().open(place("snapshot"))));
    }

    private static void assertAnswers(Vm vm) {
        assertTimeoutPreemptively(Duration.ofSeconds(60), () -> {
            try (Guest guest = Guest.connect(vm)) {
                guest.skipOldAnswers();
            }
        });
    }

    @Test
    void familiesByForkGoOnForSeveralGenerations() throws Exception {
        use(LiveForkChoice.ON);
        node.hypervisor().keepWarm(template, vm -> { }, vm -> { });
        await().atMost(Duration.ofSeconds(60)).until(() -> node.hypervisor().isWarm(template));
        Vm vm = start(template);
        Guest.ask(vm, "fill 16 1");
        List<VmSnapshot> snapshots = new ArrayList<>();
        List<String> sums = new ArrayList<>();
        for (int generation = 0; generation < 12; generation++) {
            Guest.ask(vm, "poke " + generation * 4096 * 300 + " " + (generation + 7));
            Guest.ask(vm, "write /dev/vdb " + generation * 65536 + " generation-" + generation);
            VmSnapshot snapshot = vm.snapshot(place("generation-" + generation));
            snapshots.add(snapshot);
            sums.add(Guest.ask(vm, "sum"));
            if (generation % 3 == 0) {
                vm.snapshot(place("aside-" + generation));
            }
            vm = start(snapshot.image());
            assertThat(Guest.ask(vm, "sum")).isEqualTo(sums.getLast());
        }
        assertThat(node.hypervisor().forked()).isEqualTo(1);
        for (VmSnapshot snapshot : snapshots) {
            awaitDurable(snapshot);
        }
        vms.forEach(Vm::kill);
        vms.clear();
        node.restart();
        for (int generation : List.of(0, 5, 11)) {
            Vm restored = start(node.hypervisor().open(snapshots.get(generation).image().directory()));
            assertThat(Guest.ask(restored, "sum")).isEqualTo(sums.get(generation));
            for (int earlier = 0; earlier <= generation; earlier++) {
                assertThat(Guest.ask(restored, "read /dev/vdb " + earlier * 65536)).isEqualTo("generation-" + earlier);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"ON", "OFF"})
    void theNextSnapshotWritesOnlyWhatChanged(LiveForkChoice choice) throws Exception {
        use(choice);
        Vm source = start(template);
        Guest.ask(source, "fill 32 1");
        VmSnapshot first = source.snapshot(place("first"));
        awaitDurable(first);
        String sum = Guest.ask(source, "sum");
        Guest.ask(source, "poke 8000000 5");
        String changed = Guest.ask(source, "sum");
        VmSnapshot second = source.snapshot(place("second"));
        awaitDurable(second);
        assertThat(first.writtenBytes().orElseThrow()).isGreaterThan(32 << 20);
        assertThat(second.writtenBytes().orElseThrow()).isLessThan(8 << 20);
        node.hypervisor().discard(place("first"));
        assertThat(Guest.ask(start(second.image()), "sum")).isEqualTo(changed).isNotEqualTo(sum);
        source.kill();
        vms.forEach(Vm::kill);
        assertThat(Guest.ask(start(node.hypervisor().open(place("second"))), "sum")).isEqualTo(changed);
    }

    /** So much that it is written past the page cache, where the file system can. */
    @Test
    void whatIsMuchIsInTheImageToo() throws Exception {
        use(LiveForkChoice.ON);
        Vm source = start(template);
        Guest.ask(source, "fill 90 5");
        String sum = Guest.ask(source, "sum");
        VmSnapshot snapshot = source.snapshot(place("snapshot"));
        awaitDurable(snapshot);
        assertThat(snapshot.writtenBytes().orElseThrow()).isGreaterThan(90 << 20);
        node.restart();
        vms.clear();
        vms.addAll(node.hypervisor().adopt());
        assertThat(Guest.ask(start(node.hypervisor().open(place("snapshot"))), "sum")).isEqualTo(sum);
    }

    /** Of a fork's first capture, which has its overlay from the parent, and of later ones, made ready after the one before. */
    @Test
    void overlaysThatWereOpenedAheadAreTheVmsOwn() throws Exception {
        use(LiveForkChoice.ON);
        node.hypervisor().keepWarm(template, vm -> { }, vm -> { });
        await().atMost(Duration.ofSeconds(120)).until(() -> node.hypervisor().isWarm(template));
        List<Vm> forks = List.of(start(template), start(template));
        forks.forEach(fork -> assertThat(((QemuVm) fork).openOverlays()).hasSize(2));
        List<VmSnapshot> last = new ArrayList<>();
        for (int i = 0; i < forks.size(); i++) {
            Vm fork = forks.get(i);
            for (int round = 0; round < 3; round++) {
                Guest.ask(fork, "write /dev/vdb " + 8192 * round + " fork-" + i + "-" + round);
                VmSnapshot snapshot = fork.snapshot(place("fork-" + i + "-" + round));
                awaitDurable(snapshot);
                await().atMost(Duration.ofSeconds(20)).until(() -> ((QemuVm) fork).openOverlays().size() == 2);
                if (round == 1) {
                    last.add(snapshot);
                }
            }
        }
        node.restart();
        vms.clear();
        vms.addAll(node.hypervisor().adopt());
        for (int i = 0; i < forks.size(); i++) {
            Vm restored = start(last.get(i).image());
            assertThat(Guest.ask(restored, "read /dev/vdb 0")).isEqualTo("fork-" + i + "-0");
            assertThat(Guest.ask(restored, "read /dev/vdb 8192")).isEqualTo("fork-" + i + "-1");
            assertThat(Guest.ask(restored, "read /dev/vdb 16384")).doesNotContain("fork");
            // A server that finds the VM does not know of its overlay ahead, unless it puts it on top.
            Vm fork = vms.get(i);
            awaitDurable(fork.snapshot(place("again-" + i)));
            assertThat(Guest.ask(start(node.hypervisor().open(place("again-" + i))), "read /dev/vdb 16384"))
                    .startsWith("fork-").endsWith("-2");
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"ON", "OFF"})
    void copiesOfAFrozenVmAreApart(LiveForkChoice choice) throws Exception {
        use(choice);
        Vm source = start(template);
        Guest.ask(source, "fill 8 3");
        String sum = Guest.ask(source, "sum");
        List<Vm> copies = new ArrayList<>();
        try (FrozenVm frozen = source.freeze(8)) {
            Guest.ask(source, "fill 8 4");
            for (int i = 0; i < 3; i++) {
                copies.add(keep(frozen.start()));
            }
            copies.add(keep(frozen.startLast()));
            assertThatThrownBy(frozen::start).isInstanceOf(HypervisorException.class);
            assertThatThrownBy(frozen::startLast).isInstanceOf(HypervisorException.class);
        }
        for (int i = 0; i < copies.size(); i++) {
            assertThat(Guest.ask(copies.get(i), "sum")).isEqualTo(sum);
            Guest.ask(copies.get(i), "write /dev/vdb 65536 copy-" + i);
            Guest.ask(copies.get(i), "poke 1024 " + (i + 100));
        }
        for (int i = 0; i < copies.size(); i++) {
            assertThat(Guest.ask(copies.get(i), "read /dev/vdb 65536")).isEqualTo("copy-" + i);
        }
    }

    @Test
    void aForkIsForkedBeforeItsThreadsHaveComeToRest() throws Exception {
        use(LiveForkChoice.ON);
        Vm source = start(template);
        Guest.ask(source, "write /dev/vdb 4096 so that threads write disks");
        for (int i = 0; i < 60; i++) {
            try (FrozenVm frozen = source.freeze(1)) {
                Vm copy = frozen.start();
                copy.kill();
            }
        }
        assertThat(Guest.ask(source, "ping")).isEqualTo("pong");
    }

    @ParameterizedTest
    @EnumSource(names = {"ON", "OFF"})
    void aSuspendedVmIsGoneAndComesBack(LiveForkChoice choice) throws Exception {
        use(choice);
        VmImage suspended = template;
        String sum = null;
        for (int round = 1; round <= 3; round++) {
            Vm vm = start(suspended);
            if (sum != null) {
                assertThat(Guest.ask(vm, "sum")).isEqualTo(sum);
                assertThat(Guest.ask(vm, "read /dev/vdb 8192")).isEqualTo("round-" + (round - 1));
            }
            Guest.ask(vm, "fill 4 " + round);
            Guest.ask(vm, "write /dev/vdb 8192 round-" + round);
            sum = Guest.ask(vm, "sum");
            suspended = vm.suspend(place("suspended-" + round), true);
            assertThat(vm.exit().toCompletableFuture()).isDone();
        }
        Vm vm = start(suspended);
        assertThatThrownBy(() -> vm.suspend(place("suspended-1"), true)).hasMessageContaining("already");
        assertThat(Guest.ask(vm, "sum")).as("a VM that could not be suspended goes on").isEqualTo(sum);
    }

    @ParameterizedTest
    @EnumSource(names = {"ON", "OFF"})
    void aVmSuspendedWithoutItsMemoryBoots(LiveForkChoice choice) throws Exception {
        use(choice);
        VmImage source = template;
        for (int round = 1; round <= 2; round++) {
            Vm vm = start(source);
            Guest.ask(vm, "fill 4 " + round);
            Guest.ask(vm, "write /dev/vdb " + 65536 * round + " round-" + round);
            Path suspended = place("disk-only-" + round);
            VmImage disk = vm.suspend(suspended, false);
            assertThat(node.hypervisor().holdsMemory(suspended)).isFalse();
            assertThatThrownBy(() -> node.hypervisor().start(disk)).hasMessageContaining("a disk only");

            Vm booted = keep(node.hypervisor().reboot(suspended));
            node.hypervisor().discard(suspended);
            source = booted.suspend(place("booted-" + round), true);
        }
        assertThat(node.hypervisor().holdsMemory(source.directory())).isTrue();
        Vm vm = start(source);
        for (int round = 1; round <= 2; round++) {
            assertThat(Guest.ask(vm, "read /dev/vdb " + 65536 * round)).isEqualTo("round-" + round);
        }
        Guest.ask(vm, "write /dev/vdb 4096 apart");
        VmSnapshot snapshot = vm.snapshot(place("snapshot"));
        assertThat(Guest.ask(start(snapshot.image()), "read /dev/vdb 4096")).isEqualTo("apart");
        Vm again = keep(node.hypervisor().reboot(place("booted-2")));
        assertThat(Guest.ask(again, "read /dev/vdb 65536")).isEqualTo("round-1");
        assertThat(Guest.ask(again, "read /dev/vdb 4096")).isNotEqualTo("apart");
    }

    @ParameterizedTest
    @EnumSource(names = {"ON", "OFF"})
    void aSnapshotOutlivesTheServer(LiveForkChoice choice) throws Exception {
        use(choice);
        Vm source = start(template);
        Guest.ask(source, "fill 16 1");
        String sum = Guest.ask(source, "sum");
        VmSnapshot snapshot = source.snapshot(place("snapshot"));
        node.restart();
        vms.clear();
        vms.addAll(node.hypervisor().adopt());
        assertThat(vms).extracting(Vm::id).containsExactly(source.id());
        VmSnapshot again = node.hypervisor().recoverSnapshot(snapshot.image().directory()).orElseThrow();
        assertThat(Guest.ask(start(again.image()), "sum")).isEqualTo(sum);
        awaitDurable(again);
        assertThat(node.hypervisor().recoverSnapshot(place("nothing"))).isEmpty();
    }

    /** The image is the VM's lineage then, but the record has the overlays of before. */
    @Test
    void layersAreThereOnceThoughTheServerDiedBeforeItHadWrittenThemDown() throws Exception {
        use(LiveForkChoice.OFF);
        Vm source = start(template);
        Guest.ask(source, "write /dev/vdb 4096 before");
        awaitDurable(source.snapshot(place("first")));
        Path record = ((QemuVm) source).qemu().directory().vmRecord();
        VmRecord written = JsonFiles.read(record, VmRecord.class);
        assertThat(written.overlays()).containsExactly(1);
        JsonFiles.write(record, new VmRecord(written.pid(), written.startTicks(), written.vcpus(), written.memoryMib(),
                written.baseDisk(), written.writableDisk(), List.of(0, 1), written.nextOverlay(), written.holds()));
        node.restart();
        vms.clear();
        vms.addAll(node.hypervisor().adopt());
        VmSnapshot second = vms.getFirst().snapshot(place("second"));
        awaitDurable(second);
        assertThat(ImageStore.read(place("second")).writableDisk()).doesNotHaveDuplicates();
        assertThat(Guest.ask(start(second.image()), "read /dev/vdb 4096")).isEqualTo("before");
    }

    /** As on a full disk; here the place where the image belongs is not there. */
    @Test
    void aSnapshotThatCannotBeWrittenIsHeldUntilItCan() throws Exception {
        use(LiveForkChoice.ON);
        Vm source = start(template);
        Guest.ask(source, "fill 16 1");
        String sum = Guest.ask(source, "sum");
        Path place = place("snapshots").resolve("one");
        VmSnapshot snapshot = source.snapshot(place);
        assertThatThrownBy(() -> awaitDurable(snapshot)).hasMessageContaining("could not be written");
        assertThat(Guest.ask(start(snapshot.image()), "sum")).isEqualTo(sum);

        node.restart();
        vms.clear();
        vms.addAll(node.hypervisor().adopt());
        VmSnapshot again = node.hypervisor().recoverSnapshot(place).orElseThrow();
        assertThatThrownBy(() -> awaitDurable(again)).hasMessageContaining("could not be written");
        Files.createDirectory(place.getParent());
        again.retry();
        awaitDurable(again);
        assertThat(again.lost().toCompletableFuture()).isNotDone();
        vms.forEach(Vm::kill);
        assertThat(Guest.ask(start(node.hypervisor().open(place)), "sum")).isEqualTo(sum);
    }

    @Test
    void aSnapshotIsLostWithItsHolderUnlessItIsWritten() throws Exception {
        use(LiveForkChoice.ON);
        Vm source = start(template);
        Set<Long> others = qemus();
        VmSnapshot snapshot = source.snapshot(place("snapshots").resolve("one"));
        assertThatThrownBy(() -> awaitDurable(snapshot)).hasMessageContaining("could not be written");
        Set<Long> holder = qemus();
        holder.removeAll(others);
        holder.forEach(pid -> ProcessHandle.of(pid).orElseThrow().destroyForcibly());
        assertThat(snapshot.lost().toCompletableFuture().get(60, TimeUnit.SECONDS)).contains("its holder died");
        assertThatThrownBy(() -> start(snapshot.image())).isInstanceOf(HypervisorException.class);
        assertThat(Guest.ask(source, "ping")).isEqualTo("pong");
    }

    /** Those of VMs, which have a {@code vm.json}; blanks have none. */
    private Set<Long> qemus() throws IOException {
        Set<Long> pids = new HashSet<>();
        try (var directories = Files.newDirectoryStream(node.vms())) {
            for (Path directory : directories) {
                Path record = node.hypervisor().commonMachine().directories().of(directory).vmRecord();
                if (Files.exists(record)) {
                    pids.add(JsonFiles.read(record, VmRecord.class).pid());
                }
            }
        }
        return pids;
    }

    @ParameterizedTest
    @EnumSource(names = {"ON", "OFF"})
    void whatIsDiscardedLeavesNothing(LiveForkChoice choice) throws Exception {
        use(choice);
        Vm source = start(template);
        Path place = Files.createDirectory(place("snapshots"));
        VmSnapshot first = source.snapshot(place.resolve("first"));
        VmSnapshot second = source.snapshot(place.resolve("second"));
        node.hypervisor().discard(first.image().directory());
        awaitDurable(second);
        node.hypervisor().discard(second.image().directory());
        assertThat(place).isEmptyDirectory();
        assertThat(Guest.ask(source, "ping")).isEqualTo("pong");
        source.kill();
        assertThatThrownBy(() -> source.snapshot(place.resolve("late"))).isInstanceOf(HypervisorException.class);
        assertThat(place).isEmptyDirectory();
    }
}
