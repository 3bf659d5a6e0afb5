package dev.cube.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.sdk.CloneOptions;
import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.Sandbox;
import dev.cube.sdk.SandboxInfo;
import dev.cube.sdk.SnapshotInfo;
import dev.cube.sdk.SnapshotOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * Operations at random from several threads, on the whole server with real VMs, beside a model of what each sandbox and
 * snapshot has on its disk and in its memory. Needs QEMU and, in the directory that the system property
 * {@code cube.artifacts} names, what VMs are made with. {@code -Dcube.mixed=1000} makes so many operations,
 * {@code -Dcube.mixed.seed=7} others.
 */
@EnabledIfSystemProperty(named = "cube.artifacts", matches = ".+")
class MixedOperationsIT {
    private static final Path ARTIFACTS = Path.of(System.getProperty("cube.artifacts", "")).toAbsolutePath();
    private static final int OPERATIONS = Integer.getInteger("cube.mixed", 40);
    private static final long SEED = Long.getLong("cube.mixed.seed", 4);
    private static final int THREADS = 8;
    private static final int MOST_SANDBOXES = 10;
    private static final int MOST_SNAPSHOTS = 10;
    private static final Duration HOUR = Duration.ofHours(1);

    private final List<Box> boxes = new CopyOnWriteArrayList<>();
    private final List<Shot> shots = new CopyOnWriteArrayList<>();
    private final AtomicInteger begun = new AtomicInteger();
    private final AtomicLong numbers = new AtomicLong();
    private final Queue<String> history = new ConcurrentLinkedQueue<>();
    private volatile boolean failed;
    private CubeClient client;

    /** A sandbox. Who changes it holds the write lock; who captures or looks, a read lock. */
    private static final class Box {
        private final Sandbox sandbox;
        private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
        private Contents contents;
        private boolean paused;
        private boolean deleted;

        private Box(Sandbox sandbox, Contents contents) {
            this.sandbox = sandbox;
            this.contents = contents;
        }

        boolean runs() {
            return !paused && !deleted;
        }
    }

    /** A snapshot. Who deletes it holds the write lock; who uses it, a read lock. */
    private static final class Shot {
        private final String id;
        private final Box source;
        private final Contents contents;
        private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
        private boolean deleted;

        private Shot(String id, Box source, Contents contents) {
            this.id = id;
            this.source = source;
            this.contents = contents;
        }
    }

    private enum Operation {
        CREATE, WRITE, SNAPSHOT, CREATE_FROM_SNAPSHOT, ROLLBACK, CLONE, PAUSE, RESUME, DELETE_SANDBOX, DELETE_SNAPSHOT
    }

    @Test
    void contentsAreRightAfterEveryOperationAndNothingIsLeft(@TempDir Path directory) throws Exception {
        System.out.printf("MixedOperationsIT: %d operations, seed %d%n", OPERATIONS, SEED);
        try (TestedServer server = TestedServer.start(directory, ARTIFACTS)) {
            client = server.client();
            try {
                runThreads();
                checkAll();
                deleteAll();
                server.awaitNothingLeft();
            } catch (Throwable e) {
                System.out.println("operations:\n" + String.join("\n", history) + "\nserver:\n" + server.output());
                throw e;
            }
        }
    }

    private void runThreads() throws Exception {
        try (ExecutorService threads = Executors.newFixedThreadPool(THREADS)) {
            List<Future<?>> all = new ArrayList<>();
            for (int i = 0; i < THREADS; i++) {
                var random = new Random(SEED * THREADS + i);
                all.add(threads.submit(() -> operate(random)));
            }
            for (Future<?> thread : all) {
                thread.get();
            }
        } catch (ExecutionException e) {
            throw new AssertionError("an operation failed with seed " + SEED, e.getCause());
        }
    }

    /** Does operations until enough have been begun; those that nothing is there for at the moment do not count. */
    private void operate(Random random) {
        Operation[] operations = Operation.values();
        try {
            while (!failed && begun.getAndIncrement() < OPERATIONS) {
                Operation operation;
                do {
                    operation = operations[random.nextInt(operations.length)];
                } while (!failed && !perform(operation, random));
            }
        } catch (RuntimeException | AssertionError e) {
            failed = true;
            history.add("failed at %s: %s".formatted(Instant.now(), e));
            throw e;
        }
    }

    /** @return whether there was something to do it with */
    private boolean perform(Operation operation, Random random) {
        return switch (operation) {
            case CREATE -> create();
            case WRITE -> exclusively(random, Box::runs, this::write);
            case SNAPSHOT -> shots.size() < MOST_SNAPSHOTS && shared(random, box -> snapshot(box, random.nextInt(4) == 0));
            case CREATE_FROM_SNAPSHOT -> boxes.size() < MOST_SANDBOXES && shot(random, this::createFrom);
            case ROLLBACK -> shot(random, this::rollback);
            case CLONE -> boxes.size() < MOST_SANDBOXES && shared(random, box -> copy(box, 1 + random.nextInt(2)));
            case PAUSE -> exclusively(random, Box::runs, this::pause);
            case RESUME -> exclusively(random, box -> box.paused && !box.deleted, this::resume);
            case DELETE_SANDBOX -> exclusively(random, box -> !box.deleted && boxes.size() > MOST_SANDBOXES / 2, this::kill);
            case DELETE_SNAPSHOT -> shots.size() > MOST_SNAPSHOTS / 2 && delete(random);
        };
    }

    private void log(Operation operation, String text) {
        history.add("%s %s %s".formatted(Instant.now(), operation, text));
    }

    // ---- finding something to do it with ----

    private interface Condition {
        boolean holds(Box box);
    }

    private interface Action<T> {
        void perform(T target);
    }

    private static <T> Optional<T> any(List<T> all, Random random) {
        List<T> now = List.copyOf(all);
        return now.isEmpty() ? Optional.empty() : Optional.of(now.get(random.nextInt(now.size())));
    }

    private boolean exclusively(Random random, Condition condition, Action<Box> action) {
        return any(boxes, random).filter(box -> locked(box, box.lock.writeLock(), condition, action)).isPresent();
    }

    /** With a sandbox that runs and may be captured by others too at the same time. */
    private boolean shared(Random random, Action<Box> action) {
        return any(boxes, random).filter(box -> locked(box, box.lock.readLock(), Box::runs, action)).isPresent();
    }

    private static boolean locked(Box box, Lock lock, Condition condition, Action<Box> action) {
        if (!lock.tryLock()) {
            return pass();
        }
        try {
            if (!condition.holds(box)) {
                return pass();
            }
            action.perform(box);
            return true;
        } finally {
            lock.unlock();
        }
    }

    private interface ShotUse {
        boolean perform(Shot shot);
    }

    private boolean shot(Random random, ShotUse use) {
        Optional<Shot> found = any(shots, random);
        if (found.isEmpty() || !found.get().lock.readLock().tryLock()) {
            return pass();
        }
        try {
            return !found.get().deleted && use.perform(found.get());
        } finally {
            found.get().lock.readLock().unlock();
        }
    }

    private static boolean pass() {
        Thread.yield();
        return false;
    }

    // ---- operations ----

    private boolean create() {
        if (boxes.size() >= MOST_SANDBOXES) {
            return pass();
        }
        Sandbox sandbox = client.create(TestedServer.fromBase());
        log(Operation.CREATE, sandbox.id());
        Contents.prepare(sandbox);
        var contents = new Contents(numbers.incrementAndGet());
        contents.write(sandbox);
        contents.check(sandbox);
        boxes.add(new Box(sandbox, contents));
        return true;
    }

    private void write(Box box) {
        var contents = new Contents(numbers.incrementAndGet());
        log(Operation.WRITE, box.sandbox.id() + " " + contents);
        contents.write(box.sandbox);
        box.contents = contents;
        contents.check(box.sandbox);
    }

    private void snapshot(Box box, boolean durable) {
        String id = box.sandbox.snapshot(durable ? SnapshotOptions.DEFAULT.untilDurable() : SnapshotOptions.DEFAULT).id();
        log(Operation.SNAPSHOT, box.sandbox.id() + " " + id + " " + box.contents + (durable ? " durable" : ""));
        shots.add(new Shot(id, box, box.contents));
        box.contents.check(box.sandbox);
    }

    private boolean createFrom(Shot shot) {
        Sandbox sandbox = client.create(TestedServer.from(shot.id));
        log(Operation.CREATE_FROM_SNAPSHOT, shot.id + " " + sandbox.id());
        shot.contents.checkOnDisk(sandbox);
        boxes.add(new Box(sandbox, shot.contents));
        return true;
    }

    private boolean rollback(Shot shot) {
        return locked(shot.source, shot.source.lock.writeLock(), Box::runs, box -> {
            log(Operation.ROLLBACK, box.sandbox.id() + " " + shot.id);
            box.sandbox.rollback(shot.id);
            box.contents = shot.contents;
            box.contents.checkOnDisk(box.sandbox);
        });
    }

    private void copy(Box box, int count) {
        List<Sandbox> copies = box.sandbox.clone(CloneOptions.of(count).withTimeout(HOUR));
        log(Operation.CLONE, box.sandbox.id() + " " + copies.stream().map(Sandbox::id).toList());
        assertThat(copies).hasSize(count);
        for (Sandbox copy : copies) {
            box.contents.checkOnDisk(copy);
            boxes.add(new Box(copy, box.contents));
        }
        box.contents.check(box.sandbox);
    }

    private void pause(Box box) {
        log(Operation.PAUSE, box.sandbox.id());
        box.sandbox.pause();
        box.paused = true;
        assertThat(box.sandbox.info().state()).isEqualTo("paused");
        assertConflict(box.sandbox::pause);
        assertConflict(box.sandbox::snapshot);
    }

    private static void assertConflict(Runnable call) {
        assertThatThrownBy(call::run)
                .isInstanceOfSatisfying(CubeException.class, e -> assertThat(e.status()).isEqualTo(409));
    }

    private void resume(Box box) {
        log(Operation.RESUME, box.sandbox.id());
        box.sandbox.resume(HOUR);
        box.paused = false;
        box.contents.checkOnDisk(box.sandbox);
    }

    private void kill(Box box) {
        log(Operation.DELETE_SANDBOX, box.sandbox.id());
        box.sandbox.kill();
        box.deleted = true;
        boxes.remove(box);
        assertNotFound(() -> client.get(box.sandbox.id()));
    }

    private boolean delete(Random random) {
        Optional<Shot> found = any(shots, random);
        if (found.isEmpty() || !found.get().lock.writeLock().tryLock()) {
            return pass();
        }
        try {
            if (found.get().deleted) {
                return pass();
            }
            delete(found.get());
            return true;
        } finally {
            found.get().lock.writeLock().unlock();
        }
    }

    private void delete(Shot shot) {
        log(Operation.DELETE_SNAPSHOT, shot.id);
        client.snapshots().delete(shot.id);
        shot.deleted = true;
        shots.remove(shot);
        assertNotFound(() -> client.snapshots().get(shot.id));
    }

    private static void assertNotFound(Runnable call) {
        assertThatThrownBy(call::run)
                .isInstanceOfSatisfying(CubeException.class, e -> assertThat(e.isNotFound()).isTrue());
    }

    // ---- the end ----

    private void checkAll() {
        assertThat(client.list()).extracting(SandboxInfo::id).containsExactlyInAnyOrderElementsOf(
                boxes.stream().map(box -> box.sandbox.id()).toList());
        assertThat(client.snapshots().list()).extracting(SnapshotInfo::id).containsExactlyInAnyOrderElementsOf(
                shots.stream().map(shot -> shot.id).toList());
        for (Box box : boxes) {
            if (box.paused) {
                resume(box);
            } else {
                box.contents.checkOnDisk(box.sandbox);
            }
        }
        for (Shot shot : shots) {
            client.snapshots().awaitDurable(shot.id, Duration.ofMinutes(1));
            try (Sandbox sandbox = client.create(TestedServer.from(shot.id))) {
                shot.contents.checkOnDisk(sandbox);
            }
        }
    }

    private void deleteAll() {
        boxes.forEach(this::kill);
        shots.forEach(this::delete);
    }
}
