package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Many forks of parents that were stopped in the midst of work. Each child must go on with all of it, while children and
 * parents are killed, in the middle of forks too, and parents replaced, at random. {@code -Dcube.soak=10000} gives the number
 * of forks.
 */
class LiveForkSoakIT {
    private static final Logger LOG = LoggerFactory.getLogger(LiveForkSoakIT.class);
    private static final int FORKS = Integer.getInteger("cube.soak", 200);
    private static final int USERS = 2;
    /** Children that are looked at again after their siblings have come and gone. */
    private static final int KEPT = 8;
    private static final long DEATH_SECONDS = 60;
    private static final int LOG_EVERY = 50;
    /** Translated code of a parent does not grow, since it does not run; this is for its heap. */
    private static final long PARENT_GROWTH_KB = 2 * 1024;
    private static final List<VmShape> SHAPES = List.of(new VmShape(1, 256), new VmShape(2, 512), new VmShape(4, 256));

    private final AtomicInteger busy = new AtomicInteger();
    private final AtomicInteger idle = new AtomicInteger();
    private final AtomicInteger childrenKilled = new AtomicInteger();
    private final AtomicInteger killedInForks = new AtomicInteger();
    private final AtomicInteger parentsKilled = new AtomicInteger();
    private final AtomicInteger parentsReplaced = new AtomicInteger();
    private final AtomicInteger markers = new AtomicInteger();
    private final Queue<Child> kept = new ConcurrentLinkedQueue<>();
    private final Map<Long, Size> parents = new ConcurrentHashMap<>();
    /** Held by those who start VMs; alone, by one who has something die in the middle of it. */
    private final ReentrantReadWriteLock murder = new ReentrantReadWriteLock();
    private volatile long victim;
    private volatile boolean failed;

    private record Child(Vm vm, int marker) {}

    /** What a process must not have more of with time. */
    private record Size(long ownKb, int descriptors) {}

    @Test
    void childrenOfBusyParentsAreSound() throws Exception {
        List<String> before = descriptors();
        try (TestNode node = TestNode.create(); ExecutorService users = Executors.newVirtualThreadPerTaskExecutor()) {
            List<VmImage> images = new ArrayList<>();
            for (VmShape shape : SHAPES) {
                images.add(node.template(shape));
                node.hypervisor().keepWarm(images.getLast(), LiveForkSoakIT::makeBusy, vm -> { });
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
                boolean sound = !failed;
                failed = true;
                for (Child child : kept) {
                    if (sound) {
                        again(child);
                    } else {
                        child.vm.kill();
                    }
                }
            }
            report(node.hypervisor());
            assertThat(node.hypervisor().forked()).isGreaterThanOrEqualTo(FORKS);
            assertThat(busy.get()).as("busy children").isGreaterThan(FORKS / 2);
            // Each user may meet a parent that is dead already, and one parent be proved in vain.
            assertThat(node.hypervisor().failedForks()).as("forks that failed of themselves")
                    .isLessThanOrEqualTo((parentsKilled.get() + killedInForks.get()) * (USERS + 1L));
        }
        await().atMost(Duration.ofSeconds(DEATH_SECONDS)).untilAsserted(() -> assertThat(children("Z")).isEmpty());
        await().atMost(Duration.ofSeconds(DEATH_SECONDS)).untilAsserted(() -> assertThat(descriptors()).isEqualTo(before));
    }

    private void report(QemuHypervisor hypervisor) {
        LOG.info("{} forks, {} failed; {} children checked busy and {} idle; killed: {} children, {} parents, {} QEMUs in the"
                        + " middle of a fork; {} parents replaced", hypervisor.forked(), hypervisor.failedForks(), busy, idle,
                childrenKilled, parentsKilled, killedInForks, parentsReplaced);
    }

    private static void makeBusy(Vm vm) {
        try {
            new SoakGuest(vm).makeBusy();
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
        Vm vm = start(hypervisor, image);
        if (random(10) == 0) {
            killQemu(vm);
            return;
        }
        Child child = null;
        try {
            SoakGuest guest = new SoakGuest(vm);
            if (guest.isSoundChild()) {
                child = new Child(vm, markers.incrementAndGet());
                guest.mark(child.marker);
                if (busy.incrementAndGet() % LOG_EVERY == 0) {
                    report(hypervisor);
                }
            } else {
                idle.incrementAndGet();
            }
        } finally {
            if (child == null || failed) {
                vm.kill();
            }
        }
        if (child != null) {
            kept.add(child);
        }
        Child oldest = kept.size() > KEPT ? kept.poll() : null;
        if (oldest != null) {
            again(oldest);
        }
    }

    private Vm start(QemuHypervisor hypervisor, VmImage image) throws Exception {
        Lock lock = random(60) == 0 ? murder.writeLock() : murder.readLock();
        lock.lock();
        try {
            Optional<Vm> victim = murder.isWriteLockedByCurrentThread() ? hypervisor.warmParent(image) : Optional.empty();
            return victim.isPresent() ? startWithMurder(hypervisor, image, victim.get().pid()) : hypervisor.start(image);
        } finally {
            lock.unlock();
        }
    }

    /** The parent or the child dies in the middle of the fork, and the user has a VM all the same. */
    private Vm startWithMurder(QemuHypervisor hypervisor, VmImage image, long parent) throws Exception {
        killedInForks.incrementAndGet();
        boolean ofChild = random(2) == 0;
        Thread murderer = Thread.ofPlatform().start(() -> {
            if (ofChild) {
                killNextChildOf(parent);
            } else {
                pause(random(6000));
                kill(parent);
            }
        });
        Vm vm;
        try {
            vm = hypervisor.start(image);
        } finally {
            murderer.join();
        }
        if (Files.exists(Path.of("/proc/" + vm.pid())) && vm.pid() != victim) {
            return vm;
        }
        // The fork was complete already.
        vm.exit().toCompletableFuture().get(DEATH_SECONDS, TimeUnit.SECONDS);
        return hypervisor.start(image);
    }

    private void killQemu(Vm vm) throws Exception {
        pause(random(60_000));
        kill(vm.pid());
        VmExit exit = vm.exit().toCompletableFuture().get(DEATH_SECONDS, TimeUnit.SECONDS);
        assertThat(exit.expected()).as(exit.toString()).isFalse();
        childrenKilled.incrementAndGet();
    }

    /** After its siblings have come and gone. */
    private static void again(Child child) throws IOException {
        try {
            new SoakGuest(child.vm).checkMark(child.marker);
        } finally {
            child.vm.kill();
        }
    }

    private void disturb(QemuHypervisor hypervisor, VmImage image) throws IOException {
        Vm parent = hypervisor.warmParent(image).orElse(null);
        if (parent == null) {
            return;
        }
        checkGrowth(parent.pid());
        if (random(100) == 0) {
            parentsKilled.incrementAndGet();
            kill(parent.pid());
        } else if (random(100) == 0) {
            parentsReplaced.incrementAndGet();
            hypervisor.forget(image.directory());
            hypervisor.keepWarm(image, LiveForkSoakIT::makeBusy, vm -> { });
        }
    }

    private void checkGrowth(long parent) throws IOException {
        Size now = sizeOf(parent);
        Size first = parents.putIfAbsent(parent, now);
        if (first == null || now.ownKb == 0) {
            return;
        }
        assertThat(now.ownKb - first.ownKb).as("kB that a parent has grown by").isLessThan(PARENT_GROWTH_KB);
        // It opens and closes files of /proc while it forks.
        await().pollInterval(Duration.ofMillis(1)).atMost(Duration.ofSeconds(DEATH_SECONDS)).untilAsserted(() ->
                assertThat(sizeOf(parent).descriptors).as("descriptors of a parent").isLessThanOrEqualTo(first.descriptors));
    }

    /** Nothing of a process that has ended. */
    private static Size sizeOf(long pid) throws IOException {
        try {
            long own = Files.readAllLines(Path.of("/proc/" + pid + "/status")).stream()
                    .filter(line -> line.startsWith("RssAnon:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", ""))).findFirst().orElse(0);
            return new Size(own, OpenFile.of(pid).size());
        } catch (NoSuchFileException e) {
            return new Size(0, 0);
        }
    }

    /** Waits for a process that has its parent's environment, as only a fork has, and ends it at some point of its start. */
    private void killNextChildOf(long parent) {
        try {
            List<Long> known = children("");
            byte[] environment = Files.readAllBytes(Path.of("/proc/" + parent + "/environ"));
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(1);
            while (System.nanoTime() < deadline) {
                for (long pid : children("")) {
                    Path file = Path.of("/proc/" + pid + "/environ");
                    if (!known.contains(pid) && Files.exists(file)
                            && Arrays.equals(Files.readAllBytes(file), environment)) {
                        pause(random(4000));
                        kill(pid);
                        victim = pid;
                        return;
                    }
                }
            }
        } catch (IOException e) {
            LOG.debug("nobody was killed: {}", e.toString());
        }
    }

    private static void kill(long pid) {
        ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly);
    }

    private static void pause(int micros) {
        try {
            TimeUnit.MICROSECONDS.sleep(micros);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static int random(int bound) {
        return ThreadLocalRandom.current().nextInt(bound);
    }

    /** Children of this process in a state, such as Z; in any state where that is empty. */
    private static List<Long> children(String state) throws IOException {
        String own = Long.toString(ProcessHandle.current().pid());
        List<Long> result = new ArrayList<>();
        try (DirectoryStream<Path> processes = Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
            for (Path process : processes) {
                try {
                    String stat = Files.readString(process.resolve("stat"));
                    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
                    if (fields[0].startsWith(state) && fields[1].equals(own)) {
                        result.add(Long.parseLong(process.getFileName().toString()));
                    }
                } catch (IOException e) {
                    // It has been reaped.
                }
            }
        }
        return result;
    }

    /** What this program has open, by kind, but for jars, random numbers and objects that Java makes as it needs them. */
    private static List<String> descriptors() throws IOException {
        // With the first one Java makes a socket that it keeps.
        ServerSocketChannel.open(StandardProtocolFamily.UNIX).close();
        return OpenFile.of(ProcessHandle.current().pid()).values().stream()
                .map(file -> file.isSocket() || file.target().startsWith("pipe:")
                        ? file.target().substring(0, file.target().indexOf(':')) : file.target())
                .filter(target -> !target.endsWith(".jar") && !target.startsWith("anon_inode:[event")
                        && !target.startsWith("/proc/") && !target.endsWith("random"))
                .sorted().collect(Collectors.toList());
    }
}
