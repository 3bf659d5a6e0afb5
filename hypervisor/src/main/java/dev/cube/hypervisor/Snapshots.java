package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The snapshots whose state is held: until they are durable, and, where a fork holds it, for as long as there is memory,
 * since VMs start faster from it. Thread-safe.
 */
final class Snapshots implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Snapshots.class);
    /** Durable snapshots that are held; each costs the pages that differ from its neighbours'. */
    private static final int MOST_HELD = 48;
    /** To write a snapshot takes a processor, which who waits for the next ones wants too. */
    private static final Duration LONGEST_DELAY = Duration.ofMillis(200);
    /** That a snapshot was taken is told before it is written. */
    private static final Duration ANSWER_FIRST = Duration.ofMillis(3);
    /** Images whose starts are counted. */
    private static final int MOST_COUNTED = 256;
    /** A snapshot is held again when it was started from this often without being held. */
    private static final int STARTS_TO_HOLD = 2;

    private static final Runnable NOTHING = () -> { };

    private final Forks forks;
    private final FrozenImage.Restorer restorer;
    private final VmOwner owner;
    private final LayerCompactor compactor = new LayerCompactor();
    /** Threads that make what is to hold an image's state. */
    private final ExecutorService holding = Executors.newThreadPerTaskExecutor(Thread.ofVirtual().name("hold-", 0).factory());
    private final RequestsFirst requests = new RequestsFirst(LONGEST_DELAY);
    private final Map<Path, Held> held = new ConcurrentHashMap<>();
    /** Forks that an earlier server left, by the snapshot that they hold. */
    private final Map<Path, FrozenFork> left = new ConcurrentHashMap<>();
    private final Map<Path, Integer> restores = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Path, Integer> eldest) {
            return size() > MOST_COUNTED;
        }
    };

    Snapshots(Forks forks, FrozenImage.Restorer restorer, VmOwner owner) {
        this.forks = forks;
        this.restorer = restorer;
        this.owner = owner;
    }

    /**
     * Holds the state of a running VM.
     *
     * @param place  where files for it may be made
     * @param copies as of {@link Vm#freeze}
     */
    Frozen freeze(QemuVm vm, Path place, int copies) {
        Frozen frozen = requests.serve(() -> hold(vm, place, Optional.empty(), copies));
        compactor.compact(vm);
        return frozen;
    }

    /** @param snapshot directory of the image that will be made of it, if one will */
    private Frozen hold(QemuVm vm, Path place, Optional<Path> snapshot, int copies) {
        if (forks.possible()) {
            try {
                return vm.forkFrozen(forks, snapshot, copies);
            } catch (IOException e) {
                if (!vm.qemu().isAlive()) {
                    throw new HypervisorException("VM %s: %s".formatted(vm.id(), e.getMessage()), e);
                }
                LOG.warn("VM {} is captured, not forked: {}", vm.id(), e.getMessage());
            }
        }
        QemuVm.Captured captured = vm.captureRunning(place);
        return new FrozenImage(place, captured.manifest(), captured.writtenBytes(), restorer);
    }

    /** Takes a snapshot, and makes it durable in the background. */
    VmSnapshot take(QemuVm vm, Path directory) {
        ImageStore.checkAbsent(directory);
        Frozen frozen = requests.serve(() -> hold(vm, ImageStore.fresh(directory), Optional.of(directory), 0));
        return saving(directory, frozen, List.of(vm::replaceLayers), () -> {
            compactor.compact(vm);
            prepareNext(vm);
        });
    }

    /** An image was made without a snapshot. */
    void captured(QemuVm vm, Path image) {
        compactor.compact(image, List.of(vm::replaceLayers));
    }

    /** Makes ready what the next capture of a VM needs, in the background. */
    void prepareNext(QemuVm vm) {
        if (forks.possible()) {
            Thread.ofVirtual().name("prepare-" + vm.id()).start(() -> {
                try {
                    Thread.sleep(ANSWER_FIRST);
                    requests.giveWay();
                    vm.addOverlayAhead();
                } catch (IOException | InterruptedException e) {
                    LOG.debug("the next snapshot of VM {} will take longer: {}", vm.id(), e.getMessage());
                }
            });
        }
    }

    private Held saving(Path directory, Frozen frozen, List<LayerCompactor.Sharer> sharers, Runnable afterwards) {
        Held snapshot = new Held(frozen, directory);
        snapshot.sharers = sharers;
        snapshot.afterwards = afterwards;
        held.put(directory, snapshot);
        snapshot.watch();
        snapshot.startSaving();
        return snapshot;
    }

    /** A VM in the state of a snapshot; empty if it is to be restored from its image. */
    Optional<QemuVm> start(Path directory) {
        Held snapshot = held.get(directory);
        if (snapshot == null) {
            return Optional.empty();
        }
        snapshot.lastUsed = System.nanoTime();
        try {
            return Optional.of(snapshot.frozen.start(owner));
        } catch (IOException e) {
            LOG.debug("the snapshot {} is restored, not forked: {}", directory.getFileName(), e.getMessage());
            try {
                snapshot.durable.join();
                return Optional.empty();
            } catch (CompletionException unwritten) {
                throw new HypervisorException("%s; and %s".formatted(e.getMessage(), unwritten.getCause().getMessage()), e);
            }
        }
    }

    /** A VM was restored from an image. The second time the image's state is held, so that the next one is forked. */
    void restored(Path directory) {
        if (!forks.possible() || held.containsKey(directory)) {
            return;
        }
        synchronized (restores) {
            if (restores.merge(directory, 1, Integer::sum) != STARTS_TO_HOLD) {
                return;
            }
        }
        try {
            holding.execute(() -> hold(directory));
        } catch (RejectedExecutionException e) {
            LOG.debug("the snapshot {} is not held: the hypervisor is being closed", directory.getFileName());
        }
    }

    private void hold(Path directory) {
        try {
            ImageManifest manifest = ImageStore.read(directory);
            QemuVm vm = restorer.restore(directory, manifest, owner);
            try {
                vm.pause();
                forks.check(vm.qemu());
                Held snapshot = new Held(new FrozenFork(
                        new ForkParent(vm, forks, manifest), Optional.empty(), false, forks.machine().config().forksReady()),
                        directory);
                snapshot.durable.complete(null);
                snapshot.watch();
                if (held.putIfAbsent(directory, snapshot) != null || !Files.exists(directory)) {
                    held.remove(directory, snapshot);
                    vm.kill();
                }
            } catch (IOException | RuntimeException e) {
                vm.kill();
                throw e;
            }
            trim();
        } catch (IOException | RuntimeException e) {
            LOG.debug("the snapshot {} is not held: {}", directory.getFileName(), e.getMessage());
        }
    }

    /** Takes up the holder of a snapshot that an earlier server left. */
    void adopt(QemuVm vm) {
        Path directory = vm.heldSnapshot().orElseThrow();
        try {
            if (Files.exists(directory)) {
                vm.kill();
                return;
            }
            // It may not have been told to stand still before the earlier server ended, in which case nothing has happened in it.
            vm.pause();
            if (forks.possible()) {
                forks.check(vm.qemu());
            }
            ImageManifest manifest = ImageStore.read(vm.qemu().directory().path());
            left.put(directory, new FrozenFork(
                    new ForkParent(vm, forks, manifest), Optional.empty(), true, forks.machine().config().forksReady()));
        } catch (IOException | RuntimeException e) {
            LOG.warn("the snapshot {} is lost: {}", directory, e.getMessage());
            vm.kill();
        }
    }

    /** VMs that hold what an earlier server was about to write. */
    List<String> holders() {
        return left.values().stream().map(fork -> fork.vm().id()).toList();
    }

    /** What an earlier server made in this directory, or was about to. */
    Optional<VmSnapshot> recover(Path directory) {
        Path fresh = ImageStore.fresh(directory);
        if (Files.exists(directory)) {
            VmDirectory.deleteTree(ImageStore.merged(directory));
            Held snapshot = new Held(null, directory);
            snapshot.durable.complete(null);
            return Optional.of(snapshot);
        }
        FrozenFork fork = left.remove(directory);
        if (fork != null) {
            return Optional.of(saving(directory, fork, List.of(), NOTHING));
        }
        if (Files.exists(fresh.resolve(ImageManifest.FILE))) {
            return Optional.of(
                    saving(directory, new FrozenImage(fresh, ImageStore.read(fresh), 0, restorer), List.of(), NOTHING));
        }
        return Optional.empty();
    }

    /** Lets go of what an earlier server held and nobody has recovered. */
    void recovered() {
        left.values().forEach(FrozenFork::close);
        left.clear();
    }

    void discard(Path directory) {
        Held snapshot = held.remove(directory);
        if (snapshot != null) {
            snapshot.frozen.close();
            snapshot.await();
        }
        synchronized (restores) {
            restores.remove(directory);
        }
        compactor.remove(directory);
    }

    /** Lets go of durable snapshots if there are too many, or all of them if memory is short. */
    private void trim() {
        List<Held> durable = held.values().stream().filter(Held::isDurable)
                .sorted(Comparator.comparingLong(snapshot -> snapshot.lastUsed)).toList();
        int surplus = isMemoryShort() ? durable.size() : durable.size() - MOST_HELD;
        durable.stream().limit(Math.max(0, surplus)).forEach(this::letGo);
    }

    private void letGo(Held snapshot) {
        if (held.remove(snapshot.directory, snapshot)) {
            snapshot.frozen.close();
        }
    }

    private static boolean isMemoryShort() {
        try {
            return WarmParents.isMemoryShort();
        } catch (IOException e) {
            return false;
        }
    }

    /**
     * Waits for what is being made durable or is about to hold a state, and lets go of it. What could not be written is left for a
     * later server.
     */
    @Override
    public void close() {
        recovered();
        holding.close();
        held.values().forEach(Held::await);
        compactor.close();
        held.values().forEach(snapshot -> {
            if (snapshot.isDurable()) {
                letGo(snapshot);
            } else if (held.remove(snapshot.directory, snapshot) && snapshot.frozen instanceof FrozenFork fork) {
                fork.release();
            }
        });
    }

    private final class Held implements VmSnapshot {
        /** Null where nothing is held. */
        private final Frozen frozen;
        private final Path directory;
        private final CompletableFuture<String> lost = new CompletableFuture<>();
        /** The outcome of the last attempt to write it. */
        private volatile CompletableFuture<Void> durable = new CompletableFuture<>();
        private volatile OptionalLong written = OptionalLong.empty();
        private volatile long lastUsed = System.nanoTime();
        /** Others that have the same disk, until its layers are merged. */
        private volatile List<LayerCompactor.Sharer> sharers = List.of();
        /** What is done once it is durable. */
        private volatile Runnable afterwards = NOTHING;

        Held(Frozen frozen, Path directory) {
            this.frozen = frozen;
            this.directory = directory;
        }

        /** Lets go of it when its holder dies, with which it is lost unless it is durable. */
        private void watch() {
            if (frozen instanceof FrozenFork fork) {
                fork.vm().exit().thenAccept(exit ->
                        Thread.ofVirtual().name("lost-" + directory.getFileName()).start(() -> holderDied(exit)));
            }
        }

        private void holderDied(VmExit exit) {
            letGo(this);
            await();
            if (!isDurable()) {
                lost.complete("it was not durable when its holder died: " + exit.reason());
            }
        }

        private void startSaving() {
            CompletableFuture<Void> attempt = durable;
            Thread.ofVirtual().name("snapshot-" + directory.getFileName()).start(() -> save(attempt));
        }

        private void compactLayers() {
            List<LayerCompactor.Sharer> all = new ArrayList<>(sharers);
            sharers = List.of();
            if (frozen instanceof FrozenFork fork) {
                all.add(fork::replaceLayers);
            }
            compactor.compact(directory, all);
        }

        private void save(CompletableFuture<Void> attempt) {
            try {
                Thread.sleep(ANSWER_FIRST);
                requests.giveWay();
                written = OptionalLong.of(frozen.save(directory));
                if (!(frozen instanceof FrozenFork)) {
                    held.remove(directory, this);
                }
                attempt.complete(null);
                compactLayers();
                trim();
                afterwards.run();
            } catch (IOException | RuntimeException | InterruptedException e) {
                if (held.containsKey(directory)) {
                    LOG.warn("the snapshot {} could not be written: {}", directory, e.getMessage());
                }
                attempt.completeExceptionally(new HypervisorException(
                        "the snapshot could not be written: " + e.getMessage(), e));
            }
        }

        @Override
        public synchronized void retry() {
            if (durable.isCompletedExceptionally()) {
                durable = new CompletableFuture<>();
                startSaving();
            }
        }

        @Override
        public CompletionStage<String> lost() {
            return lost.minimalCompletionStage();
        }

        private boolean isDurable() {
            return durable.isDone() && !durable.isCompletedExceptionally();
        }

        private void await() {
            durable.handle((nothing, error) -> null).join();
        }

        @Override
        public VmImage image() {
            if (frozen != null) {
                return new VmImage(directory, frozen.shape(), directory.resolve(frozen.baseDisk()),
                        forks.machine().fingerprint());
            }
            ImageManifest manifest = ImageStore.read(directory);
            return new VmImage(directory, manifest.shape(), directory.resolve(manifest.baseDisk()), manifest.machine());
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
