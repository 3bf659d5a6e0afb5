package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A state held by a fork of the VM that never runs. VMs are forked from it, and share its memory. */
final class FrozenFork implements Frozen {
    private static final Logger LOG = LoggerFactory.getLogger(FrozenFork.class);

    private final ForkParent parent;
    /** The state that children are compared with, if no image is made of this one. */
    private final Optional<FrozenFork> former;
    private final boolean toBeSaved;
    private final ReadyChildren children;
    /** Read while somebody reads the fork's memory or the files of its image; written to end it. */
    private final ReentrantReadWriteLock ending = new ReentrantReadWriteLock();
    private final CompletableFuture<Optional<MemoryMap>> saved = new CompletableFuture<>();
    private boolean ended;

    /**
     * @param former    what {@code parent} is compared with when an image is made of it, if there is such a state
     * @param mostReady children that are kept ready at most; 0 for a state that is held for a moment only
     */
    FrozenFork(ForkParent parent, Optional<FrozenFork> former, boolean toBeSaved, int mostReady) {
        this.parent = parent;
        this.former = toBeSaved ? Optional.empty() : former;
        this.toBeSaved = toBeSaved;
        this.children = new ReadyChildren(parent, mostReady);
    }

    QemuVm vm() {
        return parent.vm();
    }

    @Override
    public VmShape shape() {
        return vm().shape();
    }

    @Override
    public String baseDisk() {
        return parent.manifest().baseDisk();
    }

    @Override
    public QemuVm start(VmOwner owner) throws IOException {
        QemuVm child = children.start(owner);
        child.descendsFrom(toBeSaved ? Optional.of(this) : former);
        return child;
    }

    /** The fork itself goes on. */
    @Override
    public QemuVm startLast(VmOwner owner) throws IOException {
        if (!end()) {
            throw new IOException("the state is no longer held");
        }
        return parent.goOn();
    }

    /** As {@link ForkParent#replaceLayers}. */
    void replaceLayers(LayerMerge merge, Path file) throws IOException {
        parent.replaceLayers(merge, file);
    }

    @Override
    public long save(Path directory) throws IOException {
        Path fresh = ImageStore.fresh(directory);
        StopWatch watch = new StopWatch();
        boolean done = false;
        try {
            QemuVm.Captured captured = vm().writeStopped(fresh);
            watch.lap("write");
            ImageStore.sync(fresh, captured.manifest());
            watch.lap("sync");
            LOG.debug("snapshot {} was written, {} bytes of memory; ms: {}", directory.getFileName(), captured.writtenBytes(), watch);
            keepFiles(fresh, captured.manifest());
            ImageStore.move(fresh, directory);
            vm().descendsFrom(Optional.empty());
            done = true;
            return captured.writtenBytes();
        } finally {
            saved.complete(Optional.empty());
            if (!done) {
                VmDirectory.deleteTree(fresh);
            }
        }
    }

    /** Later images may be based on this one, which may be removed before. */
    private void keepFiles(Path image, ImageManifest manifest) throws IOException {
        ending.readLock().lock();
        try {
            if (!ended) {
                ImageStore.linkFiles(image, manifest, vm().qemu().directory().path());
                saved.complete(Optional.of(manifest.memory()));
            }
        } finally {
            ending.readLock().unlock();
        }
    }

    /** Keeps the fork as it is until it is closed, by the thread that asked for it. */
    record Use(MemoryWriter.Former former, FrozenFork fork) implements AutoCloseable {
        boolean isAlive() {
            return fork.vm().qemu().isAlive();
        }

        @Override
        public void close() {
            fork.ending.readLock().unlock();
        }
    }

    /**
     * The image of this state, for one that differs little from it; waits while it is being made. Empty if there is none, or the
     * fork is gone.
     */
    Optional<Use> use() {
        Optional<MemoryMap> map = saved.join();
        ending.readLock().lock();
        if (ended || map.isEmpty() || !vm().qemu().isAlive()) {
            ending.readLock().unlock();
            return Optional.empty();
        }
        return Optional.of(new Use(
                new MemoryWriter.Former(map.get(), vm().qemu().directory().path(), vm().pid()), this));
    }

    @Override
    public void close() {
        if (end()) {
            parent.retire(); // an image that is just being made of it fails
        }
    }

    /** Lets go of the fork, which holds the state on, for a later server to take up. */
    void release() {
        end();
        parent.release();
    }

    /** @return whether it had not been ended before */
    private boolean end() {
        ending.writeLock().lock();
        try {
            if (ended) {
                return false;
            }
            ended = true;
        } finally {
            ending.writeLock().unlock();
        }
        saved.complete(Optional.empty());
        return true;
    }
}
