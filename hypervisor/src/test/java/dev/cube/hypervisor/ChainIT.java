package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Snapshots of snapshots, and of one VM, by the dozen: they are right, and neither their files nor a VM's grow in number. */
class ChainIT {
    private static final int MEBIBYTES = 8;
    private static final int CLUSTER = 64 << 10;
    /** Places on the disk that generations share: each is written again and again. */
    private static final int SHARED = 7;
    private static final long SHARED_AT = 512L << 20;

    private final List<Vm> vms = new ArrayList<>();
    /** What memory was after each generation. */
    private final List<String> sums = new ArrayList<>();
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
        Vm vm = node.hypervisor().start(image);
        vms.add(vm);
        return vm;
    }

    private Path place(int generation) {
        return node.root().resolve("generation-" + generation);
    }

    private static void awaitDurable(VmSnapshot snapshot) throws Exception {
        snapshot.durable().toCompletableFuture().get(60, TimeUnit.SECONDS);
    }

    /** Each generation has its own place in memory and on disk, and one that it shares with others. */
    private void write(Guest guest, int generation) throws IOException {
        assertThat(guest.ask("poke %d %d".formatted(generation * 4096 * 5, generation + 7))).isEqualTo("ok");
        assertThat(guest.ask("write /dev/vdb %d own-%d".formatted((generation + 1) * (CLUSTER + 4096L), generation)))
                .isEqualTo("ok");
        assertThat(guest.ask("write /dev/vdb %d shared-%d".formatted(sharedPlace(generation), generation))).isEqualTo("ok");
        sums.add(guest.ask("sum"));
    }

    private static long sharedPlace(int generation) {
        return SHARED_AT + generation % SHARED * (CLUSTER / 2L);
    }

    private void assertState(Vm vm, int generation) throws IOException {
        try (Guest guest = Guest.connect(vm)) {
            assertThat(guest.ask("sum")).as("memory of generation %d", generation).isEqualTo(sums.get(generation));
            assertThat(guest.ask("read /dev/vdb 0")).isEqualTo("the-writable-disk");
            for (int earlier = 0; earlier <= generation; earlier++) {
                assertThat(guest.ask("read /dev/vdb " + (earlier + 1) * (CLUSTER + 4096L))).isEqualTo("own-" + earlier);
            }
            for (int last = generation; last > generation - SHARED && last >= 0; last--) {
                assertThat(guest.ask("read /dev/vdb " + sharedPlace(last))).isEqualTo("shared-" + last);
            }
            assertThat(guest.ask("read /dev/vdb " + (generation + 2) * (CLUSTER + 4096L)))
                    .as("the place of the next generation").isEmpty();
        }
    }

    /** Layers are merged behind the snapshot. */
    private void awaitFewLayers(Path image) {
        await().atMost(Duration.ofSeconds(30)).pollInterval(Duration.ofMillis(20)).untilAsserted(() ->
                assertThat(ImageStore.read(image).writableDisk()).hasSizeLessThanOrEqualTo(LayerMerge.MOST_LAYERS));
        assertThat(ImageStore.read(image).memory().files()).hasSizeLessThanOrEqualTo(MemoryWriter.MOST_FILES + 1);
    }

    /** Files of disks that a VM's QEMU has open, each of them once. */
    private static long disksOpen(Vm vm) throws IOException {
        return OpenFile.of(vm.pid()).values().stream().map(OpenFile::target)
                .filter(file -> file.contains("/disk-")).distinct().count();
    }

    private void restart() {
        vms.forEach(Vm::kill);
        vms.clear();
        node.restart();
    }

    @Test
    void aChainOfAHundredByForkIsRight() throws Exception {
        use(LiveForkChoice.ON);
        node.hypervisor().keepWarm(template, vm -> { }, vm -> { });
        await().atMost(Duration.ofSeconds(60)).until(() -> node.hypervisor().isWarm(template));
        int generations = 100;
        Vm vm = start(template);
        Guest.ask(vm, "fill " + MEBIBYTES + " 1");
        List<VmSnapshot> snapshots = new ArrayList<>();
        for (int generation = 0; generation < generations; generation++) {
            try (Guest guest = Guest.connect(vm)) {
                write(guest, generation);
            } catch (IOException e) {
                String words = vm.exit().toCompletableFuture().completeOnTimeout(null, 5, TimeUnit.SECONDS).join() + "";
                throw new IOException("generation " + generation + ": " + words, e);
            }
            VmSnapshot snapshot = vm.snapshot(place(generation));
            snapshots.add(snapshot);
            Vm next = start(snapshot.image());
            vm.kill();
            vms.remove(vm);
            vm = next;
        }
        assertThat(node.hypervisor().failedForks()).isZero();
        assertThat(disksOpen(vm)).isLessThan(20);
        assertState(vm, generations - 1);
        for (VmSnapshot snapshot : snapshots) {
            awaitDurable(snapshot);
        }
        awaitFewLayers(place(generations - 1));
        restart();
        for (int generation : List.of(0, 49, 99)) {
            assertState(start(node.hypervisor().open(place(generation))), generation);
        }
    }

    @Test
    void aChainByImageIsRight() throws Exception {
        use(LiveForkChoice.OFF);
        int generations = 12;
        Vm vm = start(template);
        Guest.ask(vm, "fill " + MEBIBYTES + " 1");
        for (int generation = 0; generation < generations; generation++) {
            try (Guest guest = Guest.connect(vm)) {
                write(guest, generation);
            }
            VmSnapshot snapshot = vm.snapshot(place(generation));
            awaitDurable(snapshot);
            vm.kill();
            vms.remove(vm);
            vm = start(node.hypervisor().open(place(generation)));
        }
        assertState(vm, generations - 1);
        awaitFewLayers(place(generations - 1));
        restart();
        for (int generation : List.of(0, 5, 11)) {
            assertState(start(node.hypervisor().open(place(generation))), generation);
        }
    }

    /** Also across a restart, at which the VM goes on, with the layers that it has then. */
    @ParameterizedTest
    @EnumSource(names = {"ON", "OFF"})
    void aVmThatTakesSnapshotAfterSnapshotKeepsFewFilesOpen(LiveForkChoice choice) throws Exception {
        use(choice);
        int generations = 30;
        Vm vm = start(template);
        Guest.ask(vm, "fill " + MEBIBYTES + " 1");
        for (int generation = 0; generation < generations; generation++) {
            try (Guest guest = Guest.connect(vm)) {
                write(guest, generation);
            }
            awaitDurable(vm.snapshot(place(generation)));
            if (generation == generations / 2) {
                vms.clear();
                node.restart();
                vm = node.hypervisor().adopt().getFirst();
                vms.add(vm);
            }
        }
        Vm last = vm;
        await().atMost(Duration.ofSeconds(30)).untilAsserted(() ->
                assertThat(disksOpen(last)).isLessThanOrEqualTo(LayerMerge.MOST_LAYERS));
        assertState(vm, generations - 1);
        for (int generation = 0; generation < generations - 1; generation += 2) {
            node.hypervisor().discard(place(generation));
        }
        assertState(vm, generations - 1);
        restart();
        for (int generation : List.of(1, 15, 29)) {
            assertState(start(node.hypervisor().open(place(generation))), generation);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"ON", "OFF"})
    void clonesWithoutImagesLeaveTheSourceFewLayers(LiveForkChoice choice) throws Exception {
        use(choice);
        Vm vm = start(template);
        Guest.ask(vm, "fill " + MEBIBYTES + " 1");
        for (int generation = 0; generation < 12; generation++) {
            try (Guest guest = Guest.connect(vm)) {
                write(guest, generation);
            }
            vm.freeze(8).close();
        }
        await().atMost(Duration.ofSeconds(30)).untilAsserted(() ->
                assertThat(disksOpen(vm)).isLessThanOrEqualTo(LayerMerge.MOST_LAYERS));
        assertState(vm, 11);
        try (FrozenVm frozen = vm.freeze(1)) {
            Vm copy = frozen.start();
            vms.add(copy);
            vm.kill();
            assertState(copy, 11);
        }
    }

    @Test
    void aVmThatIsSuspendedAgainAndAgainHasFewLayers() throws Exception {
        use(LiveForkChoice.ON);
        VmImage image = template;
        int generations = 12;
        for (int generation = 0; generation < generations; generation++) {
            Vm vm = start(image);
            try (Guest guest = Guest.connect(vm)) {
                if (generation == 0) {
                    guest.ask("fill " + MEBIBYTES + " 1");
                }
                write(guest, generation);
            }
            image = vm.suspend(place(generation), true);
        }
        awaitFewLayers(image.directory());
        restart();
        assertState(start(node.hypervisor().open(image.directory())), generations - 1);
        assertThat(Files.exists(ImageStore.merged(image.directory()))).isFalse();
    }
}
