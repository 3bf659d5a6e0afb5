package dev.cube.hypervisor;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps blanks ready for the shapes used last, and starts new ones in the background. Starting one takes some 30 ms of
 * processor time, as long as a few VMs take to start from blanks, so it waits while VMs are being started, though not for
 * ever. Thread-safe.
 */
final class BlankPool implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(BlankPool.class);
    private static final long QUIET_NANOS = TimeUnit.MILLISECONDS.toNanos(30);
    private static final long LONGEST_WAIT_NANOS = TimeUnit.MILLISECONDS.toNanos(250);
    private static final long FIRST_BACKOFF_NANOS = TimeUnit.SECONDS.toNanos(1);
    private static final long LONGEST_BACKOFF_NANOS = TimeUnit.SECONDS.toNanos(60);
    /** Processors for each thread that starts blanks. */
    private static final int PROCESSORS_PER_WORKER = 4;

    private final Function<VmShape, Blank> starter;
    private final int size;
    private final int shapesKept;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final List<Thread> workers = new ArrayList<>();
    /** In order of use, the latest last. */
    private final Map<VmShape, Shelf> shelves = new LinkedHashMap<>(16, 0.75f, true);
    private int startsUnderWay;
    private long lastStartEnded = System.nanoTime() - QUIET_NANOS;
    private long backoffNanos;
    private long notBefore = System.nanoTime();
    private boolean closed;

    private static final class Shelf {
        private final Deque<Blank> ready = new ArrayDeque<>();
        /** Blanks that were taken to be given an image ahead, and have not been used up since. */
        private int lent;
        private int beingStarted;
        private long wantedSince = System.nanoTime();

        private int count() {
            return ready.size() + lent + beingStarted;
        }
    }

    /**
     * @param size       blanks for each shape
     * @param shapesKept shapes that blanks are kept for
     */
    BlankPool(Function<VmShape, Blank> starter, int size, int shapesKept) {
        this.starter = starter;
        this.size = size;
        this.shapesKept = shapesKept;
        int workerCount = Math.max(1, Runtime.getRuntime().availableProcessors() / PROCESSORS_PER_WORKER);
        for (int i = 0; i < workerCount; i++) {
            workers.add(Thread.ofVirtual().name("blanks-" + i).start(this::refill));
        }
    }

    /** Keeps blanks for this shape from now on. */
    void expect(VmShape shape) {
        List<Blank> surplus = new ArrayList<>();
        lock.lock();
        try {
            if (closed || shapesKept == 0 || size == 0) {
                return;
            }
            if (shelves.get(shape) == null) {
                shelves.put(shape, new Shelf());
                while (shelves.size() > shapesKept) {
                    VmShape oldest = shelves.keySet().iterator().next();
                    drain(shelves.remove(oldest), surplus);
                }
                changed.signalAll();
            }
        } finally {
            lock.unlock();
        }
        surplus.forEach(blank -> blank.qemu().destroy());
    }

    /** What is drained is no longer seen as dying on the shelf. */
    private static void drain(Shelf shelf, List<Blank> into) {
        into.addAll(shelf.ready);
        shelf.ready.clear();
    }

    /** A live blank, if one is ready. */
    Optional<Blank> take(VmShape shape) {
        lock.lock();
        try {
            Shelf shelf = shelves.get(shape);
            if (shelf == null) {
                return Optional.empty();
            }
            // Dead ones stay until they are removed, with what is left of them.
            Optional<Blank> blank = shelf.ready.stream().filter(ready -> ready.qemu().isAlive()).findFirst();
            blank.ifPresent(shelf.ready::remove);
            shelf.wantedSince = System.nanoTime();
            changed.signalAll();
            return blank;
        } finally {
            lock.unlock();
        }
    }

    /**
     * A live blank that is to be given an image ahead, if there are more than {@code others} ready. It counts as one of the pool's
     * until it is {@linkplain #usedUp used up}.
     */
    Optional<Blank> lend(VmShape shape, int others) {
        lock.lock();
        try {
            Shelf shelf = shelves.get(shape);
            if (shelf == null || shelf.ready.size() <= others) {
                return Optional.empty();
            }
            Optional<Blank> blank = shelf.ready.stream().filter(ready -> ready.qemu().isAlive()).findFirst();
            blank.ifPresent(lent -> {
                shelf.ready.remove(lent);
                shelf.lent++;
            });
            return blank;
        } finally {
            lock.unlock();
        }
    }

    /** What was lent is a VM, or has ended. */
    void usedUp(VmShape shape) {
        lock.lock();
        try {
            Shelf shelf = shelves.get(shape);
            if (shelf != null && shelf.lent > 0) {
                shelf.lent--;
                shelf.wantedSince = System.nanoTime();
                changed.signalAll();
            }
        } finally {
            lock.unlock();
        }
    }

    /** How long until there has been no start for a while, if there is none from now on; 0 if that is so already. */
    long nanosUntilQuiet() {
        lock.lock();
        try {
            return startsUnderWay > 0 ? QUIET_NANOS : Math.max(0, lastStartEnded + QUIET_NANOS - System.nanoTime());
        } finally {
            lock.unlock();
        }
    }

    /** Those that have been given an image ahead included. */
    int ready(VmShape shape) {
        lock.lock();
        try {
            Shelf shelf = shelves.get(shape);
            return shelf == null ? 0 : shelf.ready.size() + shelf.lent;
        } finally {
            lock.unlock();
        }
    }

    /** A VM is about to be started: refilling can wait. */
    void startBegins() {
        lock.lock();
        try {
            startsUnderWay++;
        } finally {
            lock.unlock();
        }
    }

    void startEnded() {
        lock.lock();
        try {
            startsUnderWay--;
            lastStartEnded = System.nanoTime();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void refill() {
        lock.lock();
        try {
            while (!closed) {
                Map.Entry<VmShape, Shelf> next = lacking();
                if (next == null) {
                    changed.await();
                    continue;
                }
                long wait = timeToWait(next.getValue());
                if (wait > 0) {
                    changed.awaitNanos(wait);
                    continue;
                }
                startOne(next.getKey(), next.getValue());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            lock.unlock();
        }
    }

    private Map.Entry<VmShape, Shelf> lacking() {
        Map.Entry<VmShape, Shelf> emptiest = null;
        for (Map.Entry<VmShape, Shelf> entry : shelves.entrySet()) {
            int has = entry.getValue().count();
            if (has < size && (emptiest == null || has <= emptiest.getValue().count())) {
                emptiest = entry;
            }
        }
        return emptiest;
    }

    private long timeToWait(Shelf shelf) {
        long now = System.nanoTime();
        long backoff = notBefore - now;
        if (backoff > 0) {
            return backoff;
        }
        long patience = shelf.wantedSince + LONGEST_WAIT_NANOS - now;
        long quiet = startsUnderWay > 0 ? patience : lastStartEnded + QUIET_NANOS - now;
        return Math.min(quiet, patience);
    }

    /** Called with the lock held, and lets go of it meanwhile. */
    private void startOne(VmShape shape, Shelf shelf) {
        shelf.beingStarted++;
        lock.unlock();
        Blank blank = null;
        String problem = null;
        try {
            blank = starter.apply(shape);
        } catch (RuntimeException e) {
            problem = e.getMessage();
        }
        lock.lock();
        shelf.beingStarted--;
        shelf.wantedSince = System.nanoTime();
        if (blank == null) {
            backoffNanos = Math.clamp(backoffNanos * 2, FIRST_BACKOFF_NANOS, LONGEST_BACKOFF_NANOS);
            notBefore = System.nanoTime() + backoffNanos;
            LOG.warn("no blank of {} vCPUs and {} MiB, next attempt in {} s: {}", shape.vcpus(), shape.memoryMib(),
                    TimeUnit.NANOSECONDS.toSeconds(backoffNanos), problem);
            return;
        }
        backoffNanos = 0;
        if (closed || shelves.get(shape) != shelf) {
            lock.unlock();
            try {
                blank.qemu().destroy();
            } finally {
                lock.lock();
            }
            return;
        }
        shelf.ready.add(blank);
        Blank added = blank;
        blank.qemu().qmp().closed().thenRun(() -> Thread.ofVirtual().start(() -> removeDead(shelf, added)));
    }

    /** A blank's QEMU has ended: while it waits here, or as some VM's, which is no business of the pool. */
    private void removeDead(Shelf shelf, Blank blank) {
        boolean wasReady;
        lock.lock();
        try {
            wasReady = shelf.ready.remove(blank);
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        if (wasReady) {
            LOG.warn("a blank died: {}", blank.qemu().directory().lastWords());
            blank.qemu().destroy();
        }
    }

    /** Ends the blanks. */
    @Override
    public void close() {
        List<Blank> all = new ArrayList<>();
        lock.lock();
        try {
            closed = true;
            shelves.values().forEach(shelf -> drain(shelf, all));
            shelves.clear();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        all.forEach(blank -> blank.qemu().destroy());
        for (Thread worker : workers) {
            try {
                worker.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
