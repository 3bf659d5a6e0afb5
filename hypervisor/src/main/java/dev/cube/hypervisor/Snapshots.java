package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The snapshots that something is held for: those that are not durable yet. Thread-safe. */
final class Snapshots implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Snapshots.class);

    private final FrozenImage.Restorer restorer;
    private final Map<Path, Held> held = new ConcurrentHashMap<>();

    Snapshots(FrozenImage.Restorer restorer) {
        this.restorer = restorer;
    }

    /** Holds the state of a running VM. {@code place} is where files for it are made. */
    Frozen freeze(QemuVm vm, Path place) {
        QemuVm.Captured captured = vm.captureRunning(place);
        return new FrozenImage(place, captured.manifest(), captured.writtenBytes(), restorer);
    }

    /** Takes a snapshot, and makes it durable in the background. */
    VmSnapshot take(QemuVm vm, Path directory, String machine) {
        ImageStore.checkAbsent(directory);
        return hold(directory, freeze(vm, ImageStore.fresh(directory)), machine);
    }

    private Held hold(Path directory, Frozen frozen, String machine) {
        Held snapshot = new Held(frozen,
                new VmImage(directory, frozen.shape(), directory.resolve(frozen.baseDisk()), machine));
        held.put(directory, snapshot);
        Thread.ofVirtual().name("snapshot-" + directory.getFileName()).start(snapshot::save);
        return snapshot;
    }

    /** A VM in the state of a snapshot, if something is held for it. */
    Optional<QemuVm> start(Path directory, VmOwner owner) {
        Held snapshot = held.get(directory);
        if (snapshot == null) {
            return Optional.empty();
        }
        try {
            return Optional.of(snapshot.frozen.start(owner));
        } catch (IOException e) {
            if (Files.exists(directory)) {
                return Optional.empty(); // it has become durable meanwhile
            }
            throw new HypervisorException("a VM could not be started from the snapshot %s: %s"
                    .formatted(directory.getFileName(), e.getMessage()), e);
        }
    }

    /** What an earlier server made in this directory, or was about to. */
    Optional<VmSnapshot> recover(Path directory, String machine) {
        Path fresh = ImageStore.fresh(directory);
        if (Files.exists(directory)) {
            return Optional.of(new Durable(image(directory, ImageStore.read(directory))));
        }
        if (Files.exists(fresh.resolve(ImageManifest.FILE))) {
            return Optional.of(hold(directory, new FrozenImage(fresh, ImageStore.read(fresh), 0, restorer), machine));
        }
        return Optional.empty();
    }

    private static VmImage image(Path directory, ImageManifest manifest) {
        return new VmImage(directory, manifest.shape(), directory.resolve(manifest.baseDisk()), manifest.machine());
    }

    void discard(Path directory) {
        Held snapshot = held.remove(directory);
        if (snapshot != null) {
            snapshot.discard();
        }
        VmDirectory.deleteTree(directory);
        VmDirectory.deleteTree(ImageStore.fresh(directory));
    }

    /** Waits for what is being made durable. */
    @Override
    public void close() {
        held.values().forEach(Held::await);
    }

    private record Durable(VmImage image) implements VmSnapshot {
        @Override
        public CompletionStage<Void> durable() {
            return CompletableFuture.completedStage(null);
        }

        @Override
        public OptionalLong writtenBytes() {
            return OptionalLong.empty();
        }
    }

    private final class Held implements VmSnapshot {
        private final Frozen frozen;
        private final VmImage image;
        private final CompletableFuture<Void> durable = new CompletableFuture<>();
        private volatile OptionalLong written = OptionalLong.empty();

        Held(Frozen frozen, VmImage image) {
            this.frozen = frozen;
            this.image = image;
        }

        private void save() {
            try {
                written = OptionalLong.of(frozen.save(image.directory()));
                held.remove(image.directory(), this);
                durable.complete(null);
            } catch (IOException | RuntimeException e) {
                LOG.warn("the snapshot {} is not durable: {}", image.directory().getFileName(), e.getMessage());
                durable.completeExceptionally(new HypervisorException(
                        "the snapshot could not be written: " + e.getMessage(), e));
            }
        }

        private void discard() {
            frozen.close();
            await();
        }

        private void await() {
            durable.handle((nothing, error) -> null).join();
        }

        @Override
        public VmImage image() {
            return image;
        }

        @Override
        public CompletionStage<Void> durable() {
            return durable.minimalCompletionStage();
        }

        @Override
        public OptionalLong writtenBytes() {
            return written;
        }
    }
}
