package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Merges layers of disks in the background, one disk at a time: of images, and of the VMs that share them. Nobody waits for it, and
 * where it fails all stays as it was. Thread-safe.
 */
final class LayerCompactor implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LayerCompactor.class);

    private final ExecutorService worker = Executors.newSingleThreadExecutor(
            Thread.ofPlatform().name("layer-compactor").daemon().factory());
    /** VMs whose turn has not come. */
    private final Set<QemuVm> waiting = ConcurrentHashMap.newKeySet();
    /** Held while an image's files are replaced, or removed. */
    private final ReentrantLock images = new ReentrantLock();

    /** What has the same disk as an image, below what is its own. */
    @FunctionalInterface
    interface Sharer {
        void replaceLayers(LayerMerge merge, Path file) throws IOException;
    }

    /** Merges the layers of a durable image, if there are many, also in those that share them. */
    void compact(Path image, List<Sharer> sharers) {
        submit(image.getFileName(), () -> {
            ImageManifest manifest = ImageStore.read(image);
            Optional<LayerMerge> merge = plan(image, manifest.writableDisk());
            if (merge.isPresent()) {
                StopWatch watch = new StopWatch();
                Path file = ImageStore.merged(image);
                Files.deleteIfExists(file);
                merge.get().write(image, file);
                watch.lap("merge");
                for (Sharer sharer : sharers) {
                    share(sharer, merge.get(), file);
                }
                watch.lap("VMs");
                replace(image, manifest, merge.get(), file);
                watch.lap("image");
                LOG.debug("{} layers of the disk of {} are {} now; ms: {}", manifest.writableDisk().size(),
                        image.getFileName(), merge.get().result().size(), watch);
            }
        });
    }

    /** Merges the layers of a VM that no image is made of. */
    void compact(QemuVm vm) {
        if (!waiting.add(vm)) {
            return;
        }
        submit(vm.id(), () -> {
            waiting.remove(vm);
            Path directory = vm.qemu().directory().path();
            Optional<LayerMerge> merge = plan(directory, vm.frozenLayers());
            if (merge.isPresent()) {
                Path file = directory.resolve("merged-behind");
                Files.deleteIfExists(file);
                merge.get().write(directory, file);
                try {
                    share(vm::replaceLayers, merge.get(), file);
                } finally {
                    Files.deleteIfExists(file);
                }
            }
        });
    }

    private static Optional<LayerMerge> plan(Path directory, List<DiskFile> layers) throws IOException {
        return layers.size() <= LayerMerge.MOST_LAYERS ? Optional.empty()
                : Optional.of(LayerMerge.of(directory, layers)).filter(LayerMerge::isWorthwhile);
    }

    /** A VM that has ended, or fails to, has no need of it. */
    private static void share(Sharer sharer, LayerMerge merge, Path file) {
        try {
            sharer.replaceLayers(merge, file);
        } catch (IOException e) {
            LOG.debug("merged layers are not used by a VM: {}", e.getMessage());
        }
    }

    private void replace(Path image, ImageManifest manifest, LayerMerge merge, Path file) throws IOException {
        images.lock();
        try {
            if (Files.exists(image)) {
                ImageStore.replaceLayers(image, manifest, merge, file);
            }
        } finally {
            images.unlock();
            Files.deleteIfExists(file);
        }
    }

    /** Removes an image, or what is left of an attempt at it. */
    void remove(Path image) {
        images.lock();
        try {
            VmDirectory.deleteTree(image);
            VmDirectory.deleteTree(ImageStore.fresh(image));
            VmDirectory.deleteTree(ImageStore.merged(image));
        } finally {
            images.unlock();
        }
    }

    @FunctionalInterface
    private interface Work {
        void run() throws IOException;
    }

    private void submit(Object name, Work work) {
        try {
            worker.execute(() -> {
                try {
                    work.run();
                } catch (IOException | RuntimeException e) {
                    LOG.debug("the layers of the disk of {} are not merged: {}", name, e.getMessage());
                }
            });
        } catch (RejectedExecutionException e) {
            LOG.debug("the layers of the disk of {} are not merged: the hypervisor is being closed", name);
        }
    }

    /** Ends what is under way: whatever was done of it, images and VMs are as they must be. */
    @Override
    public void close() {
        worker.shutdownNow();
        worker.close();
    }
}
