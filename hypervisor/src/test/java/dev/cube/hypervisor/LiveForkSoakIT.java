package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Many forks of parents that were stopped in the midst of work: arithmetic, memory, fork and exec, disk, terminals, network,
 * console. Each child must go on with all of it, while children and parents are killed, and parents replaced, at random.
 * {@code -Dcube.soak=10000} gives the number of forks.
 */
class LiveForkSoakIT {
    private static final Logger LOG = LoggerFactory.getLogger(LiveForkSoakIT.class);
    private static final int FORKS = Integer.getInteger("cube.soak", 200);
    private static final int USERS = 3;
    private static final int KEPT = 3;
    /** For an answer of a guest that shares two processors with a dozen others that are as busy. */
    private static final long PATIENCE_SECONDS = 180;
    private static final int FILLED_MIB = 2;
    private static final long PARENT_GROWTH_KB = 16 * 1024;
    private static final String PARENTS_TEXT = "from-the-parent";
    private static final List<VmShape> SHAPES = List.of(new VmShape(1, 256), new VmShape(2, 512), new VmShape(4, 256));

    private final AtomicInteger busy = new AtomicInteger();
    private final AtomicInteger idle = new AtomicInteger();
    private final AtomicInteger killed = new AtomicInteger();
    private final AtomicInteger parentsKilled = new AtomicInteger();
    private final AtomicInteger parentsReplaced = new AtomicInteger();
    private final AtomicInteger markers = new AtomicInteger();
    private final Queue<Child> kept = new ConcurrentLinkedQueue<>();
    private final Map<Long, Long> parentMemory = new ConcurrentHashMap<>();
    private volatile boolean failed;

    private record Child(Vm vm, VmImage image, String marker, String sum) {}

    @Test
    void childrenOfBusyParentsAreSound() throws Exception {
        List<String> before = descriptors();
        try (TestNode node = TestNode.create(); ExecutorService users = Executors.newVirtualThreadPerTaskExecutor()) {
            List<VmImage> images = new ArrayList<>();
            for (VmShape shape : SHAPES) {
                images.add(node.template(shape));
                node.hypervisor().keepWarm(images.getLast(), LiveForkSoakIT::makeBusy);
            }
            List<Future<?>> running = new ArrayList<>();
            for (int i = 0; i < USERS; i++) {
                running.add(users.submit(() -> use(node.hypervisor(), images)));
            }
            try {
                for (Future<?> user : running) {
                    user.get();
                }
            } finally {
                failed = true;
                kept.forEach(child -> child.vm.kill());
            }
            LOG.info("{} forks, {} failed, of {} parents killed and {} replaced; {} children checked busy and {} idle, {}"
                            + " killed", node.hypervisor().forked(), node.hypervisor().failedForks(), parentsKilled,
                    parentsReplaced, busy, idle, killed);
            assertThat(node.hypervisor().forked()).isGreaterThanOrEqualTo(FORKS);
            assertThat(busy.get()).as("busy children").isGreaterThan(FORKS / 2);
            // Each user may meet a parent that is dead already.
            assertThat(node.hypervisor().failedForks()).isLessThanOrEqualTo((long) parentsKilled.get() * USERS);
        }
        await().atMost(Duration.ofSeconds(20)).untilAsserted(() -> assertThat(zombies()).isEmpty());
        await().atMost(Duration.ofSeconds(20)).untilAsserted(() -> assertThat(descriptors()).isEqualTo(before));
    }

    private static void makeBusy(Vm vm) {
        try {
            ask(vm, "fill " + FILLED_MIB + " " + vm.shape().vcpus());
            ask(vm, "write /dev/vdb 800000000 " + PARENTS_TEXT);
            ask(vm, "load");
            assertThat(ask(vm, "check")).isEqualTo("ok");
        } catch (IOException | AssertionError e) {
            throw new HypervisorException("the parent's load: " + e.getMessage(), e);
        }
    }

    private Void use(QemuHypervisor hypervisor, List<VmImage> images) throws Exception {
        while (!failed && hypervisor.forked() < FORKS) {
            VmImage image = images.get(random(images.size()));
            try {
                if (random(10) > 0) {
                    await().pollInterval(Duration.ofMillis(20)).atMost(Duration.ofMinutes(5))
                            .until(() -> failed || hypervisor.isWarm(image));
                }
                live(hypervisor, image);
                disturb(hypervisor, image);
            } catch (Exception | Error e) {
                failed = true;
                throw e;
            }
        }
        return null;
    }

    private void live(QemuHypervisor hypervisor, VmImage image) throws Exception {
        String marker = "child-" + markers.incrementAndGet();
        Vm vm = hypervisor.start(image);
        boolean keep = false;
        try {
            if (random(10) == 0) {
                killQemu(vm);
                return;
            }
            Child child = first(vm, image, marker);
            if (child != null && random(2) == 0) {
                keep = true;
                kept.add(child);
            }
        } finally {
            if (!keep) {
                vm.kill();
            }
        }
        if (kept.size() > KEPT) {
            again(kept.poll());
        }
    }

    private void killQemu(Vm vm) throws Exception {
        Thread.sleep(random(60));
        ProcessHandle.of(vm.pid()).orElseThrow().destroyForcibly();
        VmExit exit = vm.exit().toCompletableFuture().get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        assertThat(exit.expected()).as(exit.toString()).isFalse();
        killed.incrementAndGet();
    }

    /** Null for a VM that was restored, and has no load. */
    private Child first(Vm vm, VmImage image, String marker) throws IOException {
        String state = ask(vm, "check");
        if (state.equals("idle")) {
            idle.incrementAndGet();
            return null;
        }
        assertThat(state).as(describe(vm)).isEqualTo("ok");
        assertThat(ask(vm, "sum")).as("memory of " + describe(vm)).isEqualTo(sum(vm.shape().vcpus(), 0));
        assertThat(ask(vm, "read /dev/vdb 800000000")).as("disk of " + describe(vm)).isEqualTo(PARENTS_TEXT);
        assertThat(ask(vm, "read /dev/vda 0")).isEqualTo(TestNode.BASE_TEXT);
        assertThat(ask(vm, "read /dev/vdb 700000000")).as("disk of " + describe(vm)).doesNotContain("child");
        assertThat(ask(vm, "cpus")).isEqualTo(Integer.toString(image.shape().vcpus()));
        checkClock(vm);
        int poked = 1 + markers.get();
        ask(vm, "poke 0 " + poked);
        ask(vm, "write /dev/vdb 700000000 " + marker);
        Child child = new Child(vm, image, marker, sum(vm.shape().vcpus(), poked));
        checkOwn(child);
        busy.incrementAndGet();
        return child;
    }

    private static void checkOwn(Child child) throws IOException {
        String who = describe(child.vm);
        assertThat(ask(child.vm, "sum")).as("memory of " + who).isEqualTo(child.sum);
        assertThat(ask(child.vm, "read /dev/vdb 700000000")).as("disk of " + who).isEqualTo(child.marker);
        assertThat(ask(child.vm, "check")).as(who).isEqualTo("ok");
    }

    /** After its siblings have come and gone. */
    private static void again(Child child) throws IOException {
        if (child != null) {
            try {
                checkOwn(child);
            } finally {
                child.vm.kill();
            }
        }
    }

    private void disturb(QemuHypervisor hypervisor, VmImage image) throws IOException {
        Vm parent = hypervisor.warmParent(image).orElse(null);
        if (parent == null) {
            return;
        }
        long pid = parent.pid();
        long memory = ownMemoryKb(pid);
        long begin = parentMemory.computeIfAbsent(pid, unknown -> memory);
        assertThat(memory - begin).as("kB that a parent has grown by").isLessThan(PARENT_GROWTH_KB);
        if (random(40) == 0) {
            parentsKilled.incrementAndGet();
            ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly);
        } else if (random(60) == 0) {
            parentsReplaced.incrementAndGet();
            hypervisor.forget(image.directory());
            hypervisor.keepWarm(image, LiveForkSoakIT::makeBusy);
        }
    }

    private static long ownMemoryKb(long pid) throws IOException {
        try {
            return Files.readAllLines(Path.of("/proc/" + pid + "/status")).stream()
                    .filter(line -> line.startsWith("RssAnon:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", ""))).findFirst().orElse(0);
        } catch (IOException e) {
            return 0; // gone
        }
    }

    /** The guest's clock runs as the host's does: each of its readings lies between two of the host's. */
    private static void checkClock(Vm vm) throws IOException {
        long firstSent = System.nanoTime();
        long first = Long.parseLong(ask(vm, "clock"));
        long firstRead = System.nanoTime();
        ask(vm, "check");
        long lastSent = System.nanoTime();
        long last = Long.parseLong(ask(vm, "clock"));
        long lastRead = System.nanoTime();
        double atLeast = (lastSent - firstRead) / 1e6 * 0.99 - 2;
        double atMost = (lastRead - firstSent) / 1e6 * 1.01 + 2;
        assertThat((double) (last - first)).as("ms by the clock of " + describe(vm)).isBetween(atLeast, atMost);
    }

    /** The checksum that the guest's init makes of what it was told to fill, with the first word changed if not 0. */
    private static String sum(int seed, long firstWord) {
        long sum = 0;
        for (long i = 0; i < (long) FILLED_MIB << 20; i += Long.BYTES) {
            long value = i == 0 && firstWord != 0 ? firstWord : seed * 1000003L + i;
            sum = sum * 31 + value;
        }
        return Long.toUnsignedString(sum);
    }

    private static String ask(Vm vm, String question) throws IOException {
        CompletableFuture<String> answer = new CompletableFuture<>();
        try (Guest guest = Guest.connect(vm)) {
            Thread.ofVirtual().start(() -> {
                try {
                    answer.complete(guest.ask(question));
                } catch (IOException e) {
                    answer.completeExceptionally(e);
                }
            });
            return answer.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            throw new AssertionError("%s does not answer to \"%s\"; its console: %s"
                    .formatted(describe(vm), question, vm.console()), e);
        } catch (ExecutionException e) {
            throw new IOException("%s, asked to \"%s\": %s".formatted(describe(vm), question, e.getCause()), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(e);
        }
    }

    private static String describe(Vm vm) {
        return "VM %s (%d vCPUs, process %d)".formatted(vm.id(), vm.shape().vcpus(), vm.pid());
    }

    private static int random(int bound) {
        return ThreadLocalRandom.current().nextInt(bound);
    }

    private static List<String> zombies() throws IOException {
        String own = Long.toString(ProcessHandle.current().pid());
        List<String> result = new ArrayList<>();
        try (DirectoryStream<Path> processes = Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
            for (Path process : processes) {
                try {
                    String stat = Files.readString(process.resolve("stat"));
                    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
                    if (fields[0].equals("Z") && fields[1].equals(own)) {
                        result.add(stat);
                    }
                } catch (IOException e) {
                    // It has been reaped.
                }
            }
        }
        return result;
    }

    /** What this program has open, but for its jars and the kernel objects that Java's I/O makes as it needs them. */
    private static List<String> descriptors() throws IOException {
        List<String> result = new ArrayList<>();
        for (OpenFile file : OpenFile.of(ProcessHandle.current().pid()).values()) {
            String target = file.isSocket() || file.target().startsWith("pipe:")
                    ? file.target().substring(0, file.target().indexOf(':')) : file.target();
            if (!target.endsWith(".jar") && !target.startsWith("anon_inode:[event") && !target.startsWith("/proc/")) {
                result.add(target);
            }
        }
        result.sort(null);
        return result;
    }
}
