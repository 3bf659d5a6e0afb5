package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A VM that is never handed out: stopped for good, and forked for every VM that starts in its state. Its disk no longer
 * changes, so that the children's disks are copied ahead of their forks.
 */
final class ForkParent {
    private static final Logger LOG = LoggerFactory.getLogger(ForkParent.class);
    /** Pages that a child is given between two looks at whether a request is being served: some 5 ms. */
    private static final int PAGES_AT_ONCE = 256;

    private final QemuVm vm;
    private final Forks forker;
    private volatile ImageManifest manifest;
    /** Numbers of the active overlay and of one that was opened ahead, if one was, which are the children's too. */
    private final List<Integer> overlays;
    /** What is in them, once a child was prepared: nobody writes to them any more. */
    private volatile List<SparseFile> overlayContents = List.of();
    /** Whether the guest's port is known to be connected to no host, nor taken to be. */
    private final boolean portAtRest;
    private final ConcurrentLinkedQueue<Prepared> prepared = new ConcurrentLinkedQueue<>();
    /** Children that nobody has asked for yet, which end with this server: stopped, those with pages of their own first. */
    private final ConcurrentLinkedDeque<Child> ready = new ConcurrentLinkedDeque<>();
    /** Pages that a child writes to when it is used first, in pieces. */
    private volatile List<List<PageRun>> writtenFirst = List.of();
    /** Read while files of the manifest are linked, written while it changes. */
    private final ReentrantReadWriteLock linking = new ReentrantReadWriteLock();
    private final ReentrantLock forking = new ReentrantLock();
    private final long madeNanos = System.nanoTime();
    private volatile int forks;
    private volatile boolean retired;

    /** @param manifest of what is linked in the directory */
    private record Prepared(VmDirectory directory, ImageManifest manifest) {}

    /**
     * A stopped child.
     *
     * @param manifest of what is linked in its directory
     * @param owning   whether the pages that it will write to first are its own already
     */
    private record Child(QemuHandle qemu, ImageManifest manifest, boolean owning) {}

    /**
     * @param vm       stopped, known to be fit for being forked
     * @param manifest of an image in its state, as far as its children need it; also in its directory
     */
    ForkParent(QemuVm vm, Forks forker, ImageManifest manifest) {
        this(vm, forker, manifest, false);
    }

    private ForkParent(QemuVm vm, Forks forker, ImageManifest manifest, boolean portAtRest) {
        this.portAtRest = portAtRest;
        this.vm = vm;
        this.forker = forker;
        this.manifest = manifest;
        this.overlays = vm.openOverlays();
    }

    /** Stops a warm VM that has no connection to its agent, and makes sure that it can be forked. */
    static ForkParent warm(QemuVm vm, Forks forker, ImageManifest manifest) throws IOException {
        vm.pauseHungUp();
        forker.check(vm.qemu());
        vm.addOverlayAhead();
        ImageManifest flat = manifest.withMemory(vm.flattenMemory());
        JsonFiles.write(vm.qemu().directory().path().resolve(ImageManifest.FILE), flat);
        return new ForkParent(vm, forker, flat, true);
    }

    QemuVm vm() {
        return vm;
    }

    ImageManifest manifest() {
        return manifest;
    }

    boolean isRetired() {
        return retired;
    }

    int forks() {
        return forks;
    }

    Duration age() {
        return Duration.ofNanos(System.nanoTime() - madeNanos);
    }

    /** Prepares directories for children until {@code count} are there. */
    void prepare(int count) throws IOException {
        while (!retired && prepared.size() < count) {
            prepared.add(prepareOne());
        }
        if (retired) {
            discardPrepared();
        }
    }

    private Prepared prepareOne() throws IOException {
        vm.standStill();
        VmDirectory child = forker.machine().directories().create();
        linking.readLock().lock();
        try {
            ImageManifest current = manifest;
            ImageStore.link(vm.qemu().directory().path(), current, child.path());
            copyOverlays(child);
            return new Prepared(child, current);
        } catch (IOException | RuntimeException e) {
            child.delete();
            throw e;
        } finally {
            linking.readLock().unlock();
        }
    }

    private void copyOverlays(VmDirectory child) throws IOException {
        List<SparseFile> contents = overlayContents;
        if (contents.isEmpty()) {
            contents = new ArrayList<>();
            for (int overlay : overlays) {
                contents.add(SparseFile.read(vm.qemu().directory().overlay(overlay)));
            }
            overlayContents = contents;
        }
        for (int i = 0; i < contents.size(); i++) {
            contents.get(i).create(child.overlay(overlays.get(i)));
        }
    }

    /** Has the parent, and children that are forked from now on, use a merged file, as {@link QemuVm#replaceLayers}. */
    void replaceLayers(LayerMerge merge, Path file) throws IOException {
        forking.lock();
        linking.writeLock().lock();
        try {
            if (!retired && vm.replaceLayers(merge, file)) {
                manifest = manifest.withWritableDisk(merge.result());
                overlayContents = List.of();
                discardPrepared();
            }
        } finally {
            linking.writeLock().unlock();
            forking.unlock();
        }
    }

    /** How many children are ready for those who will ask. */
    int ready() {
        return ready.size();
    }

    /** Forks a child that is ready for who asks next. */
    void makeReady() throws IOException {
        ready.addLast(forkInto(preparedOne(), new StopWatch()));
        if (retired) {
            discardReady();
        }
    }

    /** How many of the children that are ready have the pages that they will write to first. */
    int owning() {
        return (int) ready.stream().filter(Child::owning).count();
    }

    /** Whether it is known what children write to first. */
    boolean canOwn() {
        return !writtenFirst.isEmpty();
    }

    /**
     * Has the child that would be taken last come to be taken first, with the pages of its own that it will write to.
     *
     * @param requests to give way to
     */
    void ownPages(RequestsFirst requests) throws InterruptedException {
        Child child = ready.pollLast();
        if (child == null) {
            return;
        }
        if (child.owning()) {
            ready.addLast(child);
            return;
        }
        boolean done = false;
        try {
            for (List<PageRun> piece : writtenFirst) {
                requests.giveWay();
                child.qemu().control().own(piece);
            }
            ready.addFirst(new Child(child.qemu(), child.manifest(), true));
            done = true;
        } catch (IOException e) {
            LOG.debug("a child of {} that was ready has died: {}", vm.id(), e.getMessage());
        } finally {
            if (!done) {
                child.qemu().destroy();
            }
        }
        if (retired) {
            discardReady();
        }
    }

    private Prepared preparedOne() throws IOException {
        Prepared child = prepared.poll();
        return child == null ? prepareOne() : child;
    }

    /** A running child. Where that fails, nothing is left of it. */
    QemuVm fork(VmOwner owner) throws IOException {
        StopWatch watch = new StopWatch();
        for (Child child = ready.poll(); child != null; child = ready.poll()) {
            watch.lap("ready");
            try {
                return go(child, owner, watch);
            } catch (IOException e) {
                LOG.debug("a child of {} that was ready has died: {}", vm.id(), e.getMessage());
            }
        }
        return go(forkInto(preparedOne(), watch), owner, watch);
    }

    private QemuVm go(Child child, VmOwner owner, StopWatch watch) throws IOException {
        QemuHandle qemu = child.qemu();
        try {
            QemuVm result = QemuVm.forked(qemu, vm, Lineage.of(child.manifest()), owner);
            qemu.control().adopt();
            result.begin(portAtRest, watch);
            return result;
        } catch (IOException | RuntimeException e) {
            qemu.destroy();
            throw e;
        }
    }

    /**
     * Forks, uses the child as others will be, notes which pages it wrote to, and ends it.
     *
     * @param firstUse throws where the child is not fit for use
     */
    void tryFork(Consumer<Vm> firstUse) throws IOException {
        QemuVm child = fork(new Nobody());
        try {
            firstUse.accept(child);
            writtenFirst = pieces(OwnPages.of(child.pid()));
        } finally {
            child.kill();
        }
    }

    private static List<List<PageRun>> pieces(List<PageRun> runs) {
        List<List<PageRun>> pieces = new ArrayList<>();
        long pages = PAGES_AT_ONCE;
        for (PageRun run : runs) {
            if (pages >= PAGES_AT_ONCE) {
                pieces.add(new ArrayList<>());
                pages = 0;
            }
            pieces.getLast().add(run);
            pages += run.length() / Extent.PAGE;
        }
        return pieces;
    }

    /** Owns a child that is nobody's. */
    private static final class Nobody implements VmOwner {
        @Override
        public void gone(QemuVm vm) {
            // It was nobody's.
        }

        @Override
        public void captured(QemuVm vm, Path image) {
            throw new IllegalStateException("a child that is tried is not captured");
        }

        @Override
        public FrozenVm freeze(QemuVm vm, int copies) {
            throw new IllegalStateException("a child that is tried is not captured");
        }

        @Override
        public VmSnapshot snapshot(QemuVm vm, Path directory) {
            throw new IllegalStateException("a child that is tried is not captured");
        }
    }

    /** A stopped child. Where that fails, nothing is left of it, nor of its directory. */
    private Child forkInto(Prepared child, StopWatch watch) throws IOException {
        Forks.Started started;
        forking.lock();
        try {
            if (retired) {
                child.directory().delete();
                throw new IOException("the parent was retired");
            }
            watch.lap("wait");
            started = forker.start(vm.qemu(), child.directory(), overlays);
            forks++;
        } finally {
            forking.unlock();
        }
        watch.lap("fork");
        QemuHandle qemu = started.complete();
        watch.lap("connections");
        return new Child(qemu, child.manifest(), false);
    }

    /** Ends the parent, when no fork is under way. Its children go on. */
    void retire() {
        forkNoMore();
        vm.kill();
        discardChildren();
    }

    /** The parent is none any more, and a VM like any other. Where this fails, nothing is left of it. */
    QemuVm goOn() throws IOException {
        forkNoMore();
        discardChildren();
        try {
            vm.goOn();
            return vm;
        } catch (IOException | RuntimeException e) {
            vm.kill();
            throw e;
        }
    }

    /** As {@link #retire}, but the parent's VM stays, for a later server to take up. */
    void release() {
        forkNoMore();
        vm.release();
        discardChildren();
    }

    private void forkNoMore() {
        forking.lock();
        try {
            retired = true;
        } finally {
            forking.unlock();
        }
    }

    private void discardChildren() {
        discardReady();
        discardPrepared();
    }

    /** Ends the children that nobody has asked for. */
    void discardReady() {
        for (Child child = ready.poll(); child != null; child = ready.poll()) {
            child.qemu().destroy();
        }
    }

    private void discardPrepared() {
        for (Prepared child = prepared.poll(); child != null; child = prepared.poll()) {
            child.directory().delete();
        }
    }
}
