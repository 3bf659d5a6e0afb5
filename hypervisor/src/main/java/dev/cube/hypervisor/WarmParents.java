package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A warm parent for each image that VMs are expected to be started from. Parents are made in the background, replaced when
 * they are old, worn or dead, and dropped when memory is short. Thread-safe.
 */
final class WarmParents implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(WarmParents.class);
    /** Children of one parent share its address layout, so parents are not kept for ever. */
    private static final Duration LONGEST_AGE = Duration.ofHours(1);
    private static final int MOST_FORKS = 5000;
    /** Each costs the memory of a busy VM; for images beyond that, those used last have one. */
    private static final int MOST_PARENTS = 8;
    /** Children whose directories are made ahead. */
    private static final int PREPARED = 24;
    /** Children that have the pages which they will write to, some 9 MB each. */
    private static final int OWNING = 4;
    /** Where requests follow one another faster, processors have other things to do, and memory may be wanted for many. */
    private static final Duration QUIET = Duration.ofSeconds(1);
    private static final Duration TICK = Duration.ofSeconds(5);
    private static final Duration FIRST_BACKOFF = Duration.ofSeconds(2);
    private static final Duration LONGEST_BACKOFF = Duration.ofMinutes(5);
    /** Below this part of the machine's memory, parents are dropped: they can be made again. */
    private static final double LEAST_AVAILABLE = 0.05;

    /** Makes a running VM from an image by restoring it. */
    @FunctionalInterface
    interface Restorer {
        QemuVm restore(Path image, ImageManifest manifest);
    }

    private final Restorer restorer;
    private final Forks forker;
    private final Map<Path, Keeper> keepers = new ConcurrentHashMap<>();
    private final RequestsFirst requests = new RequestsFirst(RequestsFirst.FOR_CHILDREN);
    private final AtomicLong forked = new AtomicLong();
    private final AtomicLong failed = new AtomicLong();
    /** Warming one up takes a processor for seconds. */
    private final Semaphore making = new Semaphore(1);
    private volatile boolean closed;

    WarmParents(Restorer restorer, Forks forker) {
        this.restorer = restorer;
        this.forker = forker;
    }

    /**
     * Keeps a parent for an image from now on. {@code exercise} makes each new one warm, and lets go of it; {@code firstUse} tries
     * a child of each.
     */
    void keep(Path image, ImageManifest manifest, Consumer<Vm> exercise, Consumer<Vm> firstUse) {
        if (closed) {
            return;
        }
        keepers.computeIfAbsent(image, path -> new Keeper(path, manifest, exercise, firstUse)).start();
        restIdlest();
    }

    private void restIdlest() {
        List<Keeper> active = keepers.values().stream().filter(keeper -> !keeper.resting)
                .sorted(Comparator.comparingLong(keeper -> keeper.lastUsed)).toList();
        active.subList(0, Math.max(0, active.size() - MOST_PARENTS)).forEach(Keeper::rest);
    }

    void forget(Path image) {
        Keeper keeper = keepers.remove(image);
        if (keeper != null) {
            keeper.stop();
        }
    }

    boolean isKept(Path image) {
        return keepers.containsKey(image);
    }

    boolean isReady(Path image) {
        Keeper keeper = keepers.get(image);
        return keeper != null && keeper.parent != null;
    }

    Optional<Vm> parentOf(Path image) {
        return Optional.ofNullable(keepers.get(image)).map(keeper -> keeper.parent).map(ForkParent::vm);
    }

    long forked() {
        return forked.get();
    }

    long failed() {
        return failed.get();
    }

    /** A running fork of the image's parent; empty if there is none now, or if it failed, and it is to be restored. */
    Optional<QemuVm> fork(Path image, VmOwner owner) {
        Keeper keeper = keepers.get(image);
        if (keeper == null) {
            return Optional.empty();
        }
        return requests.serve(() -> keeper.fork(owner));
    }

    @Override
    public void close() {
        closed = true;
        keepers.values().forEach(Keeper::stop);
        keepers.clear();
    }

    /** Keeps the parent of one image. */
    private final class Keeper implements Runnable {
        private final Path image;
        private final ImageManifest manifest;
        private final Consumer<Vm> exercise;
        private final Consumer<Vm> firstUse;
        private final Thread thread;
        /** Wakes the keeper up before its time. */
        private final Semaphore work = new Semaphore(0);
        private volatile ForkParent parent;
        private volatile boolean stopped;
        private volatile boolean resting;
        private volatile long lastUsed = System.nanoTime();
        private Duration backoff = FIRST_BACKOFF;

        Keeper(Path image, ImageManifest manifest, Consumer<Vm> exercise, Consumer<Vm> firstUse) {
            this.image = image;
            this.manifest = manifest;
            this.exercise = exercise;
            this.firstUse = firstUse;
            this.thread = Thread.ofVirtual().name("warm-parent-" + image.getFileName()).unstarted(this);
        }

        synchronized void start() {
            if (thread.getState() == Thread.State.NEW) {
                thread.start();
            }
        }

        /** Does without a parent until the image is used again. */
        void rest() {
            resting = true;
            work.release();
        }

        void stop() {
            stopped = true;
            work.release();
            try {
                thread.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        Optional<QemuVm> fork(VmOwner owner) {
            lastUsed = System.nanoTime();
            if (resting) {
                resting = false;
                work.release();
                restIdlest();
            }
            ForkParent current = parent;
            if (current == null) {
                return Optional.empty();
            }
            try {
                QemuVm child = current.fork(owner);
                forked.incrementAndGet();
                work.release();
                return Optional.of(child);
            } catch (IOException | RuntimeException e) {
                if (current.isRetired() && parent != null) {
                    return fork(owner);
                }
                failed(current, e);
                return Optional.empty();
            }
        }

        private void failed(ForkParent current, Exception e) {
            if (failed.incrementAndGet() == 1) {
                LOG.warn("a live fork failed, and VMs are restored instead until there is a new parent: {}", e.getMessage());
            } else {
                LOG.debug("a live fork failed", e);
            }
            drop(current);
        }

        private void drop(ForkParent old) {
            synchronized (this) {
                if (parent != old) {
                    return;
                }
                parent = null;
            }
            old.retire();
            work.release();
        }

        @Override
        public void run() {
            while (!stopped) {
                try {
                    lookAfterParent();
                    work.tryAcquire(untilNextLook().toMillis(), TimeUnit.MILLISECONDS);
                    work.drainPermits();
                } catch (IOException | RuntimeException | Error e) {
                    LOG.warn("no warm parent for {}, next attempt in {} s: {}", image.getFileName(),
                            backoff.toSeconds(), e.getMessage());
                    pause(backoff);
                    backoff = backoff.multipliedBy(2).compareTo(LONGEST_BACKOFF) < 0
                            ? backoff.multipliedBy(2) : LONGEST_BACKOFF;
                } catch (InterruptedException e) {
                    break;
                }
            }
            ForkParent last = parent;
            if (last != null) {
                drop(last);
            }
        }

        private void pause(Duration time) {
            long end = System.nanoTime() + time.toNanos();
            try {
                while (!stopped && System.nanoTime() < end) {
                    work.tryAcquire(Math.max(0, end - System.nanoTime()), TimeUnit.NANOSECONDS);
                }
            } catch (InterruptedException e) {
                stopped = true;
            }
        }

        private void lookAfterParent() throws IOException, InterruptedException {
            ForkParent current = parent;
            boolean memoryShort = isMemoryShort();
            if (resting || memoryShort) {
                if (current != null) {
                    LOG.info("dropping the warm parent of {}: {}", image.getFileName(),
                            memoryShort ? "memory is short" : "others are used more");
                    drop(current);
                }
                return;
            }
            boolean worn = current != null
                    && (current.forks() >= MOST_FORKS || current.age().compareTo(LONGEST_AGE) > 0);
            if (current == null || worn) {
                ForkParent fresh = makeInTurn();
                synchronized (this) {
                    parent = fresh;
                }
                backoff = FIRST_BACKOFF;
                fresh.vm().exit().thenRun(() -> Thread.startVirtualThread(() -> drop(fresh)));
                if (current != null) {
                    current.retire();
                }
                current = fresh;
            }
            current.prepare(PREPARED);
            makeReady(current);
            while (wantsOwning(current) && isQuiet()) {
                current.ownPages(requests);
            }
        }

        private boolean wantsOwning(ForkParent current) {
            return !stopped && !resting && current.canOwn() && current.owning() < Math.min(OWNING, current.ready());
        }

        private boolean isQuiet() {
            return System.nanoTime() - lastUsed > QUIET.toNanos();
        }

        private Duration untilNextLook() {
            ForkParent current = parent;
            return current != null && wantsOwning(current) ? QUIET : TICK;
        }

        private void makeReady(ForkParent current) throws IOException, InterruptedException {
            while (!stopped && !resting && current.ready() < forker.machine().config().forksReady()) {
                requests.giveWay();
                try {
                    current.makeReady();
                } catch (IOException | RuntimeException e) {
                    if (!current.isRetired()) {
                        failed(current, e);
                    }
                    return;
                }
                current.prepare(PREPARED);
            }
        }

        private ForkParent makeInTurn() throws IOException, InterruptedException {
            making.acquire();
            try {
                return make();
            } finally {
                making.release();
            }
        }

        private ForkParent make() throws IOException {
            long begin = System.nanoTime();
            QemuVm vm = restorer.restore(image, manifest);
            try {
                exercise.accept(vm);
                ForkParent made = prove(ForkParent.warm(vm, forker, manifest), firstUse);
                made.prepare(PREPARED);
                LOG.info("warm parent of {} ready after {} ms", image.getFileName(),
                        TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begin));
                return made;
            } catch (IOException | RuntimeException e) {
                vm.kill();
                throw e;
            }
        }
    }

    /** A fork that nobody waits for finds out whether those that somebody waits for would succeed. */
    private ForkParent prove(ForkParent parent, Consumer<Vm> firstUse) throws IOException {
        try {
            parent.tryFork(firstUse);
            return parent;
        } catch (IOException | RuntimeException e) {
            failed.incrementAndGet();
            throw e;
        }
    }

    /** Whether what can be made again has to give way. */
    static boolean isMemoryShort() throws IOException {
        long total = 0;
        long available = 0;
        for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
            String[] words = line.split("\\s+");
            switch (words[0]) {
                case "MemTotal:" -> total = Long.parseLong(words[1]);
                case "MemAvailable:" -> available = Long.parseLong(words[1]);
                default -> { }
            }
        }
        return available < total * LEAST_AVAILABLE;
    }
}
