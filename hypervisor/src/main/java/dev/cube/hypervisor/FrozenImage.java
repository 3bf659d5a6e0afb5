package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/** A state held in the files of an image, which need not be on disk yet. VMs are restored from it. */
final class FrozenImage implements Frozen {
    /** Makes a running VM from an image. */
    @FunctionalInterface
    interface Restorer {
        QemuVm restore(Path image, ImageManifest manifest, VmOwner owner);
    }

    private final ImageManifest manifest;
    private final long writtenBytes;
    private final Restorer restorer;
    /** Read while VMs are made from the files, written while these are moved. */
    private final ReentrantReadWriteLock moving = new ReentrantReadWriteLock();
    private Path directory;
    private boolean saved;
    private boolean closed;

    /** @param directory with the image, as {@link ImageStore#write} left it */
    FrozenImage(Path directory, ImageManifest manifest, long writtenBytes, Restorer restorer) {
        this.directory = directory;
        this.manifest = manifest;
        this.writtenBytes = writtenBytes;
        this.restorer = restorer;
    }

    @Override
    public VmShape shape() {
        return manifest.shape();
    }

    @Override
    public String baseDisk() {
        return manifest.baseDisk();
    }

    @Override
    public QemuVm start(VmOwner owner) throws IOException {
        moving.readLock().lock();
        try {
            if (closed) {
                throw new IOException("the state is no longer held");
            }
            return restorer.restore(directory, manifest, owner);
        } finally {
            moving.readLock().unlock();
        }
    }

    @Override
    public QemuVm startLast(VmOwner owner) throws IOException {
        try {
            return start(owner);
        } finally {
            close();
        }
    }

    @Override
    public long save(Path target) throws IOException {
        ImageStore.sync(directory, manifest);
        moving.writeLock().lock();
        try {
            if (closed) {
                throw new IOException("the state is no longer held");
            }
            ImageStore.move(directory, target);
            directory = target;
            saved = true;
            return writtenBytes;
        } finally {
            moving.writeLock().unlock();
        }
    }

    @Override
    public void close() {
        moving.writeLock().lock();
        try {
            closed = true;
            if (!saved) {
                VmDirectory.deleteTree(directory);
            }
        } finally {
            moving.writeLock().unlock();
        }
    }
}
