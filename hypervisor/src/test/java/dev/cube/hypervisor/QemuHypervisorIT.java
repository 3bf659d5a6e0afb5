package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class QemuHypervisorIT {
    private static final Duration SOON = Duration.ofSeconds(60);

    private TestNode node;

    @BeforeEach
    void open() throws Exception {
        node = TestNode.create();
    }

    @AfterEach
    void close() throws Exception {
        node.close();
    }

    @Test
    void bootsAGuestWithItsDisks() throws Exception {
        Vm vm = node.hypervisor().boot(node.bootSpec(new VmShape(2, 256)));
        try (Guest guest = Guest.connect(vm)) {
            assertThat(guest.ask("ping")).isEqualTo("pong");
            assertThat(guest.ask("cpus")).isEqualTo("2");
            assertThat(guest.ask("read /dev/vda 0")).isEqualTo(TestNode.BASE_TEXT);
            assertThat(guest.ask("read /dev/vdb 0")).isEqualTo("the-writable-disk");
            assertThat(guest.ask("write /dev/vda 0 x")).isNotEqualTo("ok");
            assertThat(guest.ask("say hello there")).isEqualTo("ok");
            await().atMost(SOON).until(() -> vm.console().contains("hello there"));
            assertThat(vm.console()).as("reading takes nothing away").contains("hello there");
        } finally {
            vm.kill();
        }
    }

    @Test
    void startsFromAnImageInTheStateThatWasCaptured() throws Exception {
        VmImage image;
        String sum;
        Vm source = node.hypervisor().boot(node.bootSpec(TestNode.SMALL));
        try {
            Guest.ask(source, "fill 16 7");
            sum = Guest.ask(source, "sum");
            Guest.ask(source, "write /dev/vdb 900000000 from-the-source");
            image = source.capture(node.root().resolve("image"));
        } finally {
            source.kill();
        }
        Vm vm = node.hypervisor().start(image);
        try (Guest guest = Guest.connect(vm)) {
            assertThat(guest.ask("ping")).isEqualTo("pong");
            assertThat(guest.ask("sum")).isEqualTo(sum);
            assertThat(guest.ask("read /dev/vda 62914560")).isEqualTo("far-on-the-base");
            assertThat(guest.ask("read /dev/vdb 900000000")).isEqualTo("from-the-source");
            assertThat(guest.ask("read /dev/vdb 0")).isEqualTo("the-writable-disk");
        } finally {
            vm.kill();
        }
    }

    @Test
    void siblingsShareNothingThatTheyWrite() throws Exception {
        VmImage image = imageOf(TestNode.SMALL, "fill 8 1", "write /dev/vdb 4096 common");
        List<Vm> vms = new ArrayList<>();
        try (var executor = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<Vm>> starting = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                starting.add(executor.submit(() -> node.hypervisor().start(image)));
            }
            for (Future<Vm> vm : starting) {
                vms.add(vm.get());
            }
            Set<String> sums = new HashSet<>();
            for (int i = 0; i < vms.size(); i++) {
                assertThat(Guest.ask(vms.get(i), "read /dev/vdb 4096")).isEqualTo("common");
                Guest.ask(vms.get(i), "poke " + i * 65536 + " " + (i + 1));
                Guest.ask(vms.get(i), "write /dev/vdb 4096 mine-" + i);
                Guest.ask(vms.get(i), "write /dev/vdb 1048576 also-mine-" + i);
            }
            for (int i = 0; i < vms.size(); i++) {
                sums.add(Guest.ask(vms.get(i), "sum"));
                assertThat(Guest.ask(vms.get(i), "read /dev/vdb 4096")).isEqualTo("mine-" + i);
                assertThat(Guest.ask(vms.get(i), "read /dev/vdb 1048576")).isEqualTo("also-mine-" + i);
            }
            assertThat(sums).hasSize(vms.size());
        } finally {
            vms.forEach(Vm::kill);
        }
        assertThat(node.vms()).as("killed VMs leave nothing").satisfies(
                vmsDirectory -> vms.forEach(vm -> assertThat(vmsDirectory.resolve(vm.id())).doesNotExist()));
    }

    @Test
    void chainsOfImagesHoldWhatChanged() throws Exception {
        VmImage image = imageOf(TestNode.SMALL, "fill 16 3", "write /dev/vdb 0 level-0");
        List<String> sums = new ArrayList<>();
        List<VmImage> images = new ArrayList<>(List.of(image));
        for (int level = 1; level <= 4; level++) {
            Vm vm = node.hypervisor().start(images.getLast());
            try {
                Guest.ask(vm, "poke " + level * 1_000_000L / 8 * 8 + " " + level);
                Guest.ask(vm, "write /dev/vdb " + level * 65536 + " level-" + level);
                sums.add(Guest.ask(vm, "sum"));
                images.add(vm.capture(node.root().resolve("level-" + level)));
            } finally {
                vm.kill();
            }
            // Descendants hold what they need by themselves.
            VmDirectory.deleteTree(images.get(level - 1).directory());
        }
        long deltaBytes;
        try (var files = Files.list(images.getLast().directory())) {
            deltaBytes = files.filter(file -> file.getFileName().toString().matches("memory-[0-9a-f]+-\\d+"))
                    .mapToLong(file -> file.toFile().length()).max().orElseThrow();
        }
        assertThat(deltaBytes).as("only dirty pages are written").isBetween(4096L, 32L << 20);
        Vm vm = node.hypervisor().start(images.getLast());
        try {
            assertThat(Guest.ask(vm, "sum")).isEqualTo(sums.getLast());
            for (int level = 0; level <= 4; level++) {
                assertThat(Guest.ask(vm, "read /dev/vdb " + level * 65536)).isEqualTo("level-" + level);
            }
        } finally {
            vm.kill();
        }
    }

    @Test
    void aCapturedVmGoesOnWithoutChangingItsImage() throws Exception {
        Vm booted = node.hypervisor().boot(node.bootSpec(TestNode.SMALL));
        Vm restored = null;
        Vm again = null;
        try {
            Guest.ask(booted, "fill 4 1");
            String before = Guest.ask(booted, "sum");
            VmImage first = booted.capture(node.root().resolve("first"));
            booted.resume();
            Guest.ask(booted, "poke 0 99");
            Guest.ask(booted, "write /dev/vdb 8192 after-first");
            String after = Guest.ask(booted, "sum");
            VmImage second = booted.capture(node.root().resolve("second"));
            booted.resume();
            assertThat(Guest.ask(booted, "sum")).isEqualTo(after);
            assertThat(Guest.ask(booted, "read /dev/vdb 8192")).isEqualTo("after-first");

            restored = node.hypervisor().start(first);
            assertThat(Guest.ask(restored, "sum")).isEqualTo(before).isNotEqualTo(after);
            assertThat(Guest.ask(restored, "read /dev/vdb 8192")).isEmpty();
            again = node.hypervisor().start(second);
            assertThat(Guest.ask(again, "sum")).isEqualTo(after);
            assertThat(Guest.ask(again, "read /dev/vdb 8192")).isEqualTo("after-first");
        } finally {
            booted.kill();
            if (restored != null) {
                restored.kill();
            }
            if (again != null) {
                again.kill();
            }
        }
    }

    @Test
    void aFailedCaptureLeavesNoImageAndALivingVm() throws Exception {
        Vm vm = node.hypervisor().start(node.template(TestNode.SMALL));
        try {
            Path nowhere = node.root().resolve("missing").resolve("image");
            assertThatThrownBy(() -> vm.capture(nowhere)).isInstanceOf(HypervisorException.class);
            Path taken = Files.createDirectory(node.root().resolve("taken"));
            assertThatThrownBy(() -> vm.capture(taken)).hasMessageContaining("already");
            vm.resume();
            assertThat(Guest.ask(vm, "write /dev/vdb 0 still-here")).isEqualTo("ok");
            VmImage image = vm.capture(node.root().resolve("good"));
            vm.resume();
            assertThat(Guest.ask(vm, "ping")).isEqualTo("pong");
            Vm copy = node.hypervisor().start(image);
            try {
                assertThat(Guest.ask(copy, "read /dev/vdb 0")).isEqualTo("still-here");
            } finally {
                copy.kill();
            }
        } finally {
            vm.kill();
        }
    }

    @Test
    void pauseStopsTheGuestAndResumeLetsItGoOn() throws Exception {
        Vm vm = node.hypervisor().start(node.template(TestNode.SMALL));
        try (Guest guest = Guest.connect(vm)) {
            guest.ask("ping");
            vm.pause();
            vm.pause();
            Duration used = new QemuProcess(ProcessHandle.of(vm.pid()).orElseThrow(), 0, false).cpuTime();
            guest.tell("spin");
            Thread.sleep(300);
            assertThat(new QemuProcess(ProcessHandle.of(vm.pid()).orElseThrow(), 0, false).cpuTime().minus(used))
                    .isLessThan(Duration.ofMillis(150));
            vm.resume();
            vm.resume();
            await().atMost(SOON).until(() -> new QemuProcess(ProcessHandle.of(vm.pid()).orElseThrow(), 0, false).cpuTime().minus(used)
                    .compareTo(Duration.ofMillis(200)) > 0);
        } finally {
            vm.kill();
        }
    }

    @Test
    void theEndOfQemuIsReportedWithItsReason() throws Exception {
        VmImage image = node.template(TestNode.SMALL);
        Vm murdered = node.hypervisor().start(image);
        ProcessHandle.of(murdered.pid()).orElseThrow().destroyForcibly();
        VmExit exit = murdered.exit().toCompletableFuture().get(60, TimeUnit.SECONDS);
        assertThat(exit.expected()).isFalse();
        assertThat(exit.reason()).contains("QMP");
        assertThat(node.vms().resolve(murdered.id())).doesNotExist();
        assertThat(murdered.console()).isEmpty();
        assertThatThrownBy(murdered::pause).isInstanceOf(HypervisorException.class);
        assertThatThrownBy(() -> murdered.capture(node.root().resolve("late"))).isInstanceOf(HypervisorException.class);
        murdered.kill();

        Vm gone = node.hypervisor().start(image);
        try (Guest guest = Guest.connect(gone)) {
            guest.tell("panic");
            VmExit end = gone.exit().toCompletableFuture().get(60, TimeUnit.SECONDS);
            assertThat(end.expected()).isFalse();
            assertThat(end.reason()).contains("guest shut down");
        }

        Vm killed = node.hypervisor().start(image);
        killed.kill();
        killed.kill();
        assertThat(killed.exit().toCompletableFuture().get(60, TimeUnit.SECONDS).expected()).isTrue();
    }

    @Test
    void aRestartedServerTakesItsVmsUpAndRemovesTheRest() throws Exception {
        VmImage image = imageOf(TestNode.SMALL, "write /dev/vdb 0 before");
        Vm vm = node.hypervisor().start(image);
        Vm booted = node.hypervisor().boot(node.bootSpec(TestNode.SMALL));
        Vm lost = node.hypervisor().start(image);
        Guest.ask(vm, "fill 4 4");
        String sum = Guest.ask(vm, "sum");
        // Blanks of a server that was killed: nobody ends them.
        Blank blank = Blank.start(node.hypervisor().commonMachine(), TestNode.SMALL);
        Path empty = Files.createDirectory(node.vms().resolve("0123456789abcdef"));
        Files.writeString(empty.resolve("vm.json"), "{");

        QemuHypervisor restarted = node.restart();
        ProcessHandle.of(lost.pid()).orElseThrow().destroyForcibly();
        await().atMost(SOON).until(() -> ProcessHandle.of(lost.pid()).isEmpty());
        List<Vm> adopted = restarted.adopt();
        try {
            assertThat(adopted).extracting(Vm::id).containsExactlyInAnyOrder(vm.id(), booted.id());
            assertThat(blank.qemu().process().isAlive()).isFalse();
            assertThat(empty).doesNotExist();
            assertThat(node.vms().resolve(lost.id())).doesNotExist();
            Vm again = adopted.stream().filter(v -> v.id().equals(vm.id())).findFirst().orElseThrow();
            assertThat(again.pid()).isEqualTo(vm.pid());
            assertThat(again.shape()).isEqualTo(TestNode.SMALL);
            assertThat(Guest.ask(again, "sum")).isEqualTo(sum);

            VmImage captured = again.capture(node.root().resolve("after-restart"));
            Vm copy = restarted.start(captured);
            adopted.add(copy);
            assertThat(Guest.ask(copy, "sum")).isEqualTo(sum);
            assertThat(Guest.ask(copy, "read /dev/vdb 0")).isEqualTo("before");

            ProcessHandle.of(again.pid()).orElseThrow().destroyForcibly();
            assertThat(again.exit().toCompletableFuture().get(60, TimeUnit.SECONDS).expected()).isFalse();
        } finally {
            blank.qemu().disconnect();
            adopted.forEach(Vm::kill);
        }
    }

    /** As servers had it that knew of no place in memory. */
    @Test
    void aVmThatHasAllInOneDirectoryIsTakenUpToo() throws Exception {
        Vm vm = node.hypervisor().start(imageOf(TestNode.SMALL, "fill 4 4"));
        VmDirectory directory = ((QemuVm) vm).qemu().directory();
        node.hypervisor().close();
        if (!directory.run().equals(directory.path())) {
            for (Path file : List.of(directory.qmpSocket(), directory.controlSocket(), directory.agentSocket(),
                    directory.log(), directory.vmRecord())) {
                Files.createSymbolicLink(directory.path().resolve(file.getFileName()), file);
            }
        }
        List<Vm> adopted = node.restart().adopt();
        try {
            assertThat(adopted).extracting(Vm::id).containsExactly(vm.id());
            assertThat(adopted.getFirst().agentSocket()).isEqualTo(directory.path().resolve("agent.sock"));
            assertThat(Guest.ask(adopted.getFirst(), "ping")).isEqualTo("pong");
        } finally {
            adopted.forEach(Vm::kill);
        }
        assertThat(directory.path()).doesNotExist();
        VmDirectory.deleteTree(directory.run());
    }

    @Test
    void aFloodingGuestFillsNothing() throws Exception {
        Vm vm = node.hypervisor().start(node.template(TestNode.SMALL));
        try {
            Guest.ask(vm, "flood");
            await().atMost(SOON).until(() -> vm.console().contains("flood 19999"));
            assertThat(vm.console()).hasSizeLessThanOrEqualTo(QemuCommand.CONSOLE_BYTES);
            assertThat(Files.size(((QemuVm) vm).qemu().directory().log())).isLessThan(4096);
        } finally {
            vm.kill();
        }
    }

    @Test
    void whatIsMadeBehindAStartEndsWithTheHypervisor() {
        VmImage image = node.template(TestNode.SMALL);
        node.hypervisor().start(image).kill();
        // With the second one, holding the image's state begins, which closing the hypervisor finds under way.
        node.hypervisor().start(image).kill();
    }

    @Test
    void deadBlanksAreReplaced() throws Exception {
        QemuHypervisor hypervisor = node.hypervisor();
        hypervisor.expect(TestNode.SMALL);
        await().atMost(SOON).until(() -> hypervisor.blanksReady(TestNode.SMALL) == 2);
        List<Long> before = node.processes();
        assertThat(before).hasSize(2);
        before.forEach(pid -> ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly));
        await().atMost(SOON).until(() -> hypervisor.blanksReady(TestNode.SMALL) == 2
                && node.processes().size() == 2 && node.processes().stream().noneMatch(before::contains));
    }

    @Test
    void blanksThatDiedAreNeitherTakenNorLeft() {
        Machine machine = node.hypervisor().commonMachine();
        try (BlankPool pool = new BlankPool(shape -> Blank.start(machine, shape), 2, 1)) {
            pool.expect(TestNode.SMALL);
            for (int i = 0; i < 10; i++) {
                await().atMost(SOON).until(() -> pool.ready(TestNode.SMALL) == 2 && directories() == 2);
                List<ProcessHandle> blanks = node.processes().stream().flatMap(pid -> ProcessHandle.of(pid).stream()).toList();
                blanks.forEach(ProcessHandle::destroyForcibly);
                blanks.forEach(blank -> blank.onExit().join());
                pool.take(TestNode.SMALL).ifPresent(blank -> {
                    assertThat(blank.qemu().isAlive()).isTrue();
                    blank.qemu().destroy();
                });
            }
            await().atMost(SOON).until(() -> pool.ready(TestNode.SMALL) == 2 && directories() == 2);
        }
    }

    @Test
    void aBlankThatDiesWhileItIsGivenAnImageIsReplaced() throws Exception {
        QemuHypervisor hypervisor = node.hypervisor();
        VmImage image = node.template(TestNode.SMALL);
        hypervisor.expect(TestNode.SMALL);
        await().atMost(SOON).until(() -> hypervisor.blanksReady(TestNode.SMALL) == 2);
        List<Long> blanks = node.processes();
        for (long pid : blanks) {
            signal("STOP", pid);
        }
        try (var executor = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<Vm> starting = executor.submit(() -> hypervisor.start(image));
            await().atMost(SOON).until(() -> hypervisor.blanksReady(TestNode.SMALL) == 1);
            // By then it has been asked for something, and waits for the answer.
            Thread.sleep(100);
            assertThat(starting).isNotDone();
            for (long pid : blanks) {
                signal("KILL", pid);
            }
            Vm vm = starting.get();
            assertThat(Guest.ask(vm, "ping")).isEqualTo("pong");
            vm.kill();
        }
    }

    private static void signal(String name, long pid) throws Exception {
        assertThat(new ProcessBuilder("kill", "-" + name, Long.toString(pid)).start().waitFor()).isZero();
    }

    private long directories() throws IOException {
        try (var entries = Files.list(node.vms())) {
            return entries.count();
        }
    }

    @Test
    void anImageOfAnotherMachineIsRefused() throws Exception {
        VmImage image = node.template(TestNode.SMALL);
        Path manifest = image.directory().resolve(ImageManifest.FILE);
        String text = Files.readString(manifest);
        Files.writeString(manifest, text.replace("\"machine\":\"tcg", "\"machine\":\"abc"));
        assertThatThrownBy(() -> node.hypervisor().start(image)).isInstanceOf(HypervisorException.class)
                .hasMessageContaining("another kind of machine").hasMessageContaining(node.hypervisor().machine());
        assertThatThrownBy(() -> node.hypervisor().open(image.directory())).isInstanceOf(HypervisorException.class)
                .hasMessageContaining("another kind of machine");
        Files.writeString(manifest, text.replaceFirst("\"tscKhz\":", "\"tscKhz\":9"));
        assertThatThrownBy(() -> node.hypervisor().open(image.directory())).isInstanceOf(HypervisorException.class)
                .hasMessageContaining("time stamp counter");
        Files.writeString(manifest, text);
        assertThat(node.hypervisor().open(image.directory())).isEqualTo(image);
        Files.writeString(manifest, text.substring(0, 50));
        assertThatThrownBy(() -> node.hypervisor().start(image)).isInstanceOf(HypervisorException.class)
                .hasMessageContaining("damaged");
    }

    @Test
    void filesThatAreGoneAreNamed() throws Exception {
        VmImage image = node.template(TestNode.SMALL);
        Files.delete(image.baseDisk());
        assertThatThrownBy(() -> node.hypervisor().start(image)).isInstanceOf(HypervisorException.class)
                .hasMessageContaining("base-disk");
        BootSpec spec = new BootSpec(TestNode.SMALL, Path.of("/nonexistent/base"), Path.of("/nonexistent/writable"));
        assertThatThrownBy(() -> node.hypervisor().boot(spec)).hasMessageContaining("/nonexistent/base");
    }

    @ParameterizedTest
    @CsvSource({"1, 128", "8, 128", "8, 32768", "1, 3500"})
    void shapesAtTheLimitsBootAndStart(int vcpus, int memoryMib) throws Exception {
        VmShape shape = new VmShape(vcpus, memoryMib);
        Vm vm = node.hypervisor().start(imageOf(shape, "fill 8 5"));
        try {
            assertThat(Guest.ask(vm, "cpus")).isEqualTo(Integer.toString(vcpus));
            assertThat(Integer.parseInt(Guest.ask(vm, "memory"))).isBetween(memoryMib * 6 / 10, memoryMib);
        } finally {
            vm.kill();
        }
    }

    private VmImage imageOf(VmShape shape, String... commands) throws Exception {
        Vm vm = node.hypervisor().start(node.template(shape));
        try {
            for (String command : commands) {
                Guest.ask(vm, command);
            }
            return vm.capture(node.root().resolve("image"));
        } finally {
            vm.kill();
        }
    }
}
