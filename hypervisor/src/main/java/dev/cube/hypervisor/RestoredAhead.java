package dev.cube.hypervisor;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Gives blanks the images that VMs will be started from before anybody asks for them, where VMs are restored: who asks then waits for a
 * VM to go on, not for its disks and its state. Those are images that were announced, and others for as many VMs as were started from
 * them of late. Done while no VM is being started; some blanks are left for images that nobody foresaw. Thread-safe.
 */
final class RestoredAhead implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(RestoredAhead.class);
    private static final Duration LATELY = Duration.ofSeconds(30);
    private static final Duration LOOK_EVERY = Duration.ofSeconds(1);
    /** When there may be a blank after there was none: to start one takes less. */
    private static final Duration BLANK_WITHIN = Duration.ofMillis(100);
    /** One in so many blanks is given no image. */
    private static final int LEFT_ALONE = 3;

    private final BlankPool blanks;
    private final int most;
    private final int leftAlone;
    private final Function<Path, ImageManifest> manifests;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    /** In order of use, the latest last. */
    private final Map<Path, Image> images = new LinkedHashMap<>(16, 0.75f, true);
    private final Thread worker;
    private boolean closed;

    private static final class Image {
        private final Path directory;
        private final VmShape shape;
        private boolean announced;
        /** When VMs were started, by {@link System#nanoTime}, the latest last. */
        private final Deque<Long> starts = new ArrayDeque<>();
        private final Deque<FilledBlank> ready = new ArrayDeque<>();

        private Image(Path directory, VmShape shape) {
            this.directory = directory;
            this.shape = shape;
        }

        private int startsLately() {
            long since = System.nanoTime() - LATELY.toNanos();
            while (!starts.isEmpty() && starts.getFirst() - since < 0) {
                starts.removeFirst();
            }
            return starts.size();
        }

        /** From then on nobody sees them die here. */
        private List<FilledBlank> drain() {
            List<FilledBlank> all = List.copyOf(ready);
            ready.clear();
            return all;
        }
    }

    /**
     * @param blanks    that the pool keeps for each shape
     * @param manifests reads the manifest of an image that VMs can be started from, or throws a {@link HypervisorException}
     */
    RestoredAhead(BlankPool pool, int blanks, Function<Path, ImageManifest> manifests) {
        this.blanks = pool;
        this.leftAlone = (blanks + LEFT_ALONE - 1) / LEFT_ALONE;
        this.most = blanks - leftAlone;
        this.manifests = manifests;
        this.worker = Thread.ofVirtual().name("restored-ahead").start(this::work);
    }

    /** VMs will be started from an image. */
    void expect(VmImage image) {
        blanks.expect(image.shape());
        lock.lock();
        try {
            if (!closed && most > 0) {
                images.computeIfAbsent(image.directory(), path -> new Image(path, image.shape())).announced = true;
                changed.signalAll();
            }
        } finally {
            lock.unlock();
        }
    }

    /** A running VM in an image's state, if one is ready; otherwise it is to be restored. */
    Optional<QemuVm> start(Path image, VmOwner owner) {
        for (Optional<FilledBlank> next = take(image); next.isPresent(); next = take(image)) {
            blanks.startBegins();
            try {
                return Optional.of(next.get().go(owner));
            } catch (HypervisorException e) {
                LOG.debug("a VM that was restored ahead is of no use: {}", e.getMessage());
            } finally {
                blanks.startEnded();
            }
        }
        return Optional.empty();
    }

    private Optional<FilledBlank> take(Path directory) {
        FilledBlank taken;
        lock.lock();
        try {
            Image image = images.get(directory);
            taken = image == null ? null : image.ready.poll();
        } finally {
            lock.unlock();
        }
        if (taken != null) {
            blanks.usedUp(taken.shape());
        }
        return Optional.ofNullable(taken);
    }

    int ready(Path directory) {
        lock.lock();
        try {
            // Not get(), which would count as a use.
            return images.entrySet().stream().filter(entry -> entry.getKey().equals(directory))
                    .mapToInt(entry -> entry.getValue().ready.size()).sum();
        } finally {
            lock.unlock();
        }
    }

    /** A VM was started from an image, in whichever way. */
    void started(Path directory, VmShape shape) {
        lock.lock();
        try {
            if (closed || most == 0) {
                return;
            }
            Image image = images.computeIfAbsent(directory, path -> new Image(path, shape));
            image.starts.addLast(System.nanoTime());
            if (image.starts.size() > most) {
                image.starts.removeFirst();
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Lets go of VMs in an image's state. */
    void forget(Path directory) {
        List<FilledBlank> left;
        lock.lock();
        try {
            Image image = images.remove(directory);
            left = image == null ? List.of() : image.drain();
        } finally {
            lock.unlock();
        }
        destroy(left);
    }

    private void destroy(List<FilledBlank> vms) {
        for (FilledBlank vm : vms) {
            vm.qemu().destroy();
            blanks.usedUp(vm.shape());
        }
    }

    private void work() {
        try {
            while (!isClosed()) {
                try {
                    workOnce();
                } catch (RuntimeException e) {
                    LOG.warn("VMs could not be restored ahead, which is tried again: {}", e.getMessage());
                    Thread.sleep(LOOK_EVERY);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void workOnce() throws InterruptedException {
        destroy(unwanted());
        List<Image> lacking = lacking();
        boolean filled = false;
        for (int i = 0; i < lacking.size() && !filled; i++) {
            filled = fill(lacking.get(i));
        }
        if (!lacking.isEmpty() && !filled) {
            Thread.sleep(BLANK_WITHIN);
        }
    }

    private boolean isClosed() {
        lock.lock();
        try {
            return closed;
        } finally {
            lock.unlock();
        }
    }

    /** Takes away what nobody will ask for, as far as one knows. */
    private List<FilledBlank> unwanted() {
        List<FilledBlank> all = new ArrayList<>();
        lock.lock();
        try {
            images.values().removeIf(image -> {
                boolean over = !image.announced && image.startsLately() == 0;
                if (over) {
                    all.addAll(image.drain());
                }
                return over;
            });
        } finally {
            lock.unlock();
        }
        return all;
    }

    /** Images that are short of VMs, the one used last first, if no VM is being started; otherwise none, after a while. */
    private List<Image> lacking() throws InterruptedException {
        lock.lock();
        try {
            if (closed) {
                return List.of();
            }
            List<Image> found = new ArrayList<>();
            for (Image image : images.values()) {
                if (image.ready.size() < (image.announced ? most : image.startsLately())) {
                    found.addFirst(image);
                }
            }
            if (found.isEmpty() && images.values().stream().allMatch(image -> image.announced)) {
                changed.await();
                return List.of();
            }
            long wait = found.isEmpty() ? LOOK_EVERY.toNanos() : blanks.nanosUntilQuiet();
            if (wait > 0) {
                changed.awaitNanos(wait);
                return List.of();
            }
            return found;
        } finally {
            lock.unlock();
        }
    }

    /** @return whether that was done */
    private boolean fill(Image image) {
        Optional<Blank> blank = blanks.lend(image.shape, leftAlone);
        if (blank.isEmpty()) {
            destroy(spareFor(image));
            return false;
        }
        FilledBlank filled;
        try {
            filled = fill(blank.get(), image);
        } catch (HypervisorException e) {
            LOG.debug("no VM is restored ahead: {}", e.getMessage());
            blanks.usedUp(image.shape);
            return false;
        }
        boolean kept;
        lock.lock();
        try {
            kept = !closed && images.containsValue(image);
            if (kept) {
                image.ready.add(filled);
            }
        } finally {
            lock.unlock();
        }
        if (kept) {
            filled.qemu().qmp().closed().thenRun(() -> Thread.ofVirtual().start(() -> removeDead(image, filled)));
        } else {
            destroy(List.of(filled));
        }
        return true;
    }

    private FilledBlank fill(Blank blank, Image image) {
        ImageManifest manifest;
        try {
            manifest = manifests.apply(image.directory);
        } catch (HypervisorException e) {
            blank.qemu().destroy();
            forget(image.directory);
            throw e;
        }
        return blank.fill(image.directory, manifest);
    }

    /** A VM of the image that has most beyond what was asked of it lately, where one that was asked for lately is short of them. */
    private List<FilledBlank> spareFor(Image wanting) {
        lock.lock();
        try {
            List<Image> same = images.values().stream().filter(image -> image.shape.equals(wanting.shape)).toList();
            boolean full = same.stream().mapToInt(image -> image.ready.size()).sum() >= most;
            if (!full || wanting.ready.size() >= wanting.startsLately()) {
                return List.of();
            }
            return same.stream().filter(image -> image.ready.size() > image.startsLately())
                    .max(Comparator.comparingInt(image -> image.ready.size() - image.startsLately()))
                    .map(image -> List.of(image.ready.poll())).orElse(List.of());
        } finally {
            lock.unlock();
        }
    }

    /** A QEMU has ended: while it waits here, or as some VM's, which is no business of this. */
    private void removeDead(Image image, FilledBlank dead) {
        boolean waited;
        lock.lock();
        try {
            waited = image.ready.remove(dead);
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        if (waited) {
            LOG.warn("a VM that was restored ahead died: {}", dead.qemu().directory().lastWords());
            destroy(List.of(dead));
        }
    }

    /** Ends them all. */
    @Override
    public void close() {
        List<FilledBlank> all = new ArrayList<>();
        lock.lock();
        try {
            closed = true;
            images.values().forEach(image -> all.addAll(image.drain()));
            images.clear();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        destroy(all);
        try {
            worker.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
