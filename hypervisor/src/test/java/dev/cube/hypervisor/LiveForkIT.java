package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LiveForkIT {
    private TestNode node;
    private final List<Vm> vms = new ArrayList<>();

    @BeforeEach
    void open() throws Exception {
        node = TestNode.create();
    }

    @AfterEach
    void close() throws Exception {
        vms.forEach(Vm::kill);
        node.close();
    }

    private static void exercise(Vm vm) {
        try (Guest guest = Guest.connect(vm)) {
            guest.ask("fill 4 9");
            guest.ask("write /dev/vdb 800000000 from-the-parent");
        } catch (IOException e) {
            throw new HypervisorException("exercise", e);
        }
    }

    private VmImage warmTemplate(VmShape shape) {
        VmImage image = node.template(shape);
        node.hypervisor().keepWarm(image, LiveForkIT::exercise, vm -> { });
        await().atMost(Duration.ofSeconds(60)).until(() -> node.hypervisor().isWarm(image));
        return image;
    }

    private Vm start(VmImage image) {
        Vm vm = node.hypervisor().start(image);
        synchronized (vms) {
            vms.add(vm);
        }
        return vm;
    }

    @ParameterizedTest
    @CsvSource({"1, 128", "8, 128", "8, 32768", "1, 3500"})
    void forksVmsOfEveryShape(int vcpus, int memoryMib) throws Exception {
        VmImage image = warmTemplate(new VmShape(vcpus, memoryMib));
        for (int i = 0; i < 3; i++) {
            Vm vm = start(image);
            assertThat(Guest.ask(vm, "ping")).isEqualTo("pong");
            assertThat(Guest.ask(vm, "cpus")).isEqualTo(Integer.toString(vcpus));
        }
        assertThat(node.hypervisor().forked()).isEqualTo(3);
        assertThat(node.hypervisor().failedForks()).isZero();
    }

    /** One mapping without guards between its regions: of huge pages in the parent, which forks share and do not add to. */
    @ParameterizedTest
    @CsvSource({"1", "2", "8"})
    void translatedCodeIsOfHugePagesThatForksDoNotAddTo(int vcpus) throws Exception {
        assumeTrue(Files.exists(Path.of("/sys/kernel/mm/transparent_hugepage")), "a kernel without huge pages");
        VmImage image = warmTemplate(new VmShape(vcpus, 128));
        assertThat(codeMappings(node.hypervisor().warmParent(image).orElseThrow())).hasSize(1).allMatch(
                flags -> flags.contains("hg") && !flags.contains("nh"));
        assertThat(codeMappings(start(image))).hasSize(1).allMatch(flags -> flags.contains("nh"));
    }

    /** The flags of each, from {@code /proc/PID/smaps}. */
    private static List<List<String>> codeMappings(Vm vm) throws IOException {
        List<List<String>> found = new ArrayList<>();
        boolean inCode = false;
        for (String line : Files.readAllLines(Path.of("/proc/" + vm.pid() + "/smaps"))) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                inCode = line.contains(" rwxp ");
            } else if (inCode && line.startsWith("VmFlags:")) {
                found.add(List.of(line.substring("VmFlags:".length()).strip().split(" ")));
            }
        }
        return found;
    }

    @Test
    void keepsMemoryAndDisksOfSiblingsApart() throws Exception {
        VmImage image = warmTemplate(new VmShape(2, 512));
        int count = 12;
        try (var pool = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<String>> sums = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                int seed = i;
                Callable<String> life = () -> {
                    Vm vm = start(image);
                    try (Guest guest = Guest.connect(vm)) {
                        guest.ask("fill 16 " + seed);
                        guest.ask("write /dev/vdb 800000000 child-" + seed + "-------");
                        guest.ask("write /dev/vdb 400000000 child-" + seed);
                        return guest.ask("sum");
                    }
                };
                sums.add(pool.submit(life));
            }
            List<String> known = new ArrayList<>();
            for (Future<String> sum : sums) {
                known.add(sum.get());
            }
            assertThat(known).doesNotHaveDuplicates();
            List<String> now = new ArrayList<>();
            List<String> disks = new ArrayList<>();
            for (Vm vm : vms) {
                now.add(Guest.ask(vm, "sum"));
                disks.add(Guest.ask(vm, "read /dev/vdb 400000000"));
            }
            assertThat(now).containsExactlyInAnyOrderElementsOf(known);
            assertThat(disks).doesNotHaveDuplicates().allMatch(text -> text.startsWith("child-"));
        }
        assertThat(node.hypervisor().forked()).isEqualTo(count);
        Vm late = start(image);
        assertThat(Guest.ask(late, "read /dev/vdb 800000000")).isEqualTo("from-the-parent");
        assertThat(Guest.ask(late, "read /dev/vdb 400000000")).doesNotContain("child");
    }

    @Test
    void childrenThatWaitAreGivenThePagesThatTheyWillWriteTo() throws Exception {
        VmImage image = node.template(new VmShape(2, 128));
        node.hypervisor().keepWarm(image, LiveForkIT::exercise, LiveForkIT::exercise);
        await().atMost(Duration.ofSeconds(60)).until(() -> node.hypervisor().isWarm(image));
        Vm plain = start(image);
        long filled = (4 << 20) / Extent.PAGE;
        // Children are given pages when no VM was started for a second.
        await().atMost(Duration.ofSeconds(60)).pollInterval(Duration.ofSeconds(2))
                .until(() -> pages(OwnPages.of(start(image).pid())) > filled);
        Vm owning = vms.getLast();
        assertThat(node.hypervisor().failedForks()).isZero();
        assertThat(Guest.ask(owning, "sum")).isEqualTo(Guest.ask(plain, "sum"));
        assertThat(Guest.ask(owning, "read /dev/vdb 800000000")).isEqualTo("from-the-parent");
    }

    private static long pages(List<PageRun> runs) {
        return runs.stream().mapToLong(run -> run.length() / Extent.PAGE).sum();
    }

    /** A child that does not do in its first use what it is to do is never used: VMs are restored. */
    @Test
    void parentWhoseChildrenAreNotFitForUseIsNotUsed() throws Exception {
        VmImage image = node.template(new VmShape(1, 128));
        var tried = new CountDownLatch(1);
        node.hypervisor().keepWarm(image, LiveForkIT::exercise, vm -> {
            tried.countDown();
            throw new HypervisorException("unfit");
        });
        assertThat(tried.await(60, TimeUnit.SECONDS)).isTrue();
        assertThat(Guest.ask(start(image), "ping")).isEqualTo("pong");
        assertThat(node.hypervisor().isWarm(image)).isFalse();
        await().until(() -> node.hypervisor().failedForks() > 0);
        assertThat(node.hypervisor().forked()).isZero();
    }

    @Test
    void aChildIsCapturedLikeAnyOther() throws Exception {
        VmImage image = warmTemplate(new VmShape(2, 512));
        Vm child = start(image);
        Guest.ask(child, "fill 16 5");
        Guest.ask(child, "write /dev/vdb 700000000 from-the-child");
        String sum = Guest.ask(child, "sum");
        VmImage captured = child.capture(node.root().resolve("captured"));
        child.resume();
        assertThat(Guest.ask(child, "sum")).isEqualTo(sum);
        Vm restored = start(captured);
        assertThat(Guest.ask(restored, "sum")).isEqualTo(sum);
        assertThat(Guest.ask(restored, "read /dev/vdb 700000000")).isEqualTo("from-the-child");
        assertThat(Guest.ask(restored, "read /dev/vdb 800000000")).isEqualTo("from-the-parent");
        assertThat(node.hypervisor().forked()).isEqualTo(1);
    }

    @Test
    void childrenOutliveTheServer() throws Exception {
        VmImage image = warmTemplate(TestNode.SMALL);
        Vm child = start(image);
        Guest.ask(child, "fill 8 3");
        String sum = Guest.ask(child, "sum");
        vms.clear();
        node.restart();
        List<Vm> adopted = node.hypervisor().adopt();
        vms.addAll(adopted);
        assertThat(adopted).extracting(Vm::id).containsExactly(child.id());
        assertThat(Guest.ask(adopted.getFirst(), "sum")).isEqualTo(sum);
    }

    @Test
    void deathIsNoticedAndLeavesNoZombie() throws Exception {
        VmImage image = warmTemplate(TestNode.SMALL);
        Vm child = start(image);
        long pid = child.pid();
        ProcessHandle.of(pid).orElseThrow().destroyForcibly();
        VmExit exit = child.exit().toCompletableFuture().get(60, TimeUnit.SECONDS);
        assertThat(exit.expected()).isFalse();
        await().atMost(Duration.ofSeconds(60)).until(() -> Files.notExists(Path.of("/proc/" + pid)));
        vms.clear();
    }

    @Test
    void aLostParentIsReplacedAndRequestsSucceedMeanwhile() throws Exception {
        VmImage image = warmTemplate(TestNode.SMALL);
        Vm before = start(image);
        ProcessHandle.of(node.hypervisor().warmParent(image).orElseThrow().pid()).orElseThrow().destroyForcibly();
        Vm meanwhile = start(image);
        assertThat(Guest.ask(meanwhile, "ping")).isEqualTo("pong");
        assertThat(Guest.ask(before, "ping")).isEqualTo("pong");
        await().atMost(Duration.ofSeconds(60)).until(() -> node.hypervisor().isWarm(image));
        long forked = node.hypervisor().forked();
        assertThat(Guest.ask(start(image), "ping")).isEqualTo("pong");
        assertThat(node.hypervisor().forked()).isEqualTo(forked + 1);
    }

    /** They stand ready, and one that has died meanwhile is nobody's VM. */
    @Test
    void childrenAreForkedAhead() throws Exception {
        VmImage image = warmTemplate(TestNode.SMALL);
        long parent = node.hypervisor().warmParent(image).orElseThrow().pid();
        await().atMost(Duration.ofSeconds(60)).until(() -> withImage().size() == 1 + TestNode.FORKS_READY);
        long victim = withImage().stream().filter(pid -> pid != parent).findFirst().orElseThrow();
        ProcessHandle.of(victim).orElseThrow().destroyForcibly();
        for (int i = 0; i < 2 * TestNode.FORKS_READY; i++) {
            Vm vm = start(image);
            assertThat(vm.pid()).isNotEqualTo(victim);
            assertThat(Guest.ask(vm, "ping")).isEqualTo("pong");
        }
        assertThat(node.hypervisor().failedForks()).isZero();
        vms.forEach(Vm::kill);
        await().atMost(Duration.ofSeconds(60)).until(() -> withImage().size() == 1 + TestNode.FORKS_READY);
        node.hypervisor().forget(image.directory());
        await().atMost(Duration.ofSeconds(60)).until(() -> withImage().isEmpty());
    }

    /** QEMUs that are no blanks. */
    private List<Long> withImage() {
        return node.processes().stream()
                .filter(pid -> {
                    try {
                        return Files.exists(Path.of("/proc/" + pid + "/cwd").toRealPath().resolve(ImageManifest.FILE));
                    } catch (IOException e) {
                        return false;
                    }
                })
                .toList();
    }
}
