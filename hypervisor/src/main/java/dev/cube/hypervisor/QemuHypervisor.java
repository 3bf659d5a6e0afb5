package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** VMs by QEMU: booted, or made from a blank and an image. */
public final class QemuHypervisor implements VmFactory {
    /** For directories of VMs that are still being removed in the background. */
    private static final Duration REMOVAL_PATIENCE = Duration.ofSeconds(2);
    private static final Logger LOG = LoggerFactory.getLogger(QemuHypervisor.class);

    private final HomeLock lock;
    private final Machine machine;
    private final Boot boot;
    private final BlankPool blanks;
    /** Absent where VMs are forked, not restored. */
    private final Optional<RestoredAhead> restoredAhead;
    private final LogKeeper logKeeper;
    /** Absent where VMs cannot be forked. */
    private final Optional<WarmParents> parents;
    private final VmOwner owner = new Owner();
    private final Forks forks;
    private final Snapshots snapshots;
    private final Map<String, QemuVm> vms = new ConcurrentHashMap<>();

    private QemuHypervisor(HomeLock lock, Machine machine, BootPatience patience) {
        this.lock = lock;
        this.machine = machine;
        this.boot = new Boot(machine, patience);
        this.forks = Forks.open(machine);
        this.blanks = new BlankPool(shape -> Blank.start(machine, shape), machine.config().blanks(forks.possible()),
                machine.config().shapesKept());
        this.restoredAhead = forks.possible() ? Optional.empty() : Optional.of(new RestoredAhead(
                blanks, machine.config().blanks(false), this::readStartable));
        this.logKeeper = new LogKeeper(machine.directories());
        this.snapshots = new Snapshots(forks, this::restore, owner);
        this.parents = forks.possible()
                ? Optional.of(new WarmParents((image, manifest) -> restore(image, manifest, owner), forks))
                : Optional.empty();
    }

    /**
     * Checks that everything needed is there and finds the accelerator, which takes seconds the first time after the
     * machine has started.
     *
     * @throws HypervisorException saying what is missing and how to mend it
     */
    public static QemuHypervisor open(HypervisorConfig config) {
        return open(config, BootPatience.DEFAULT);
    }

    static QemuHypervisor open(HypervisorConfig config, BootPatience patience) {
        Path vms = vmsDirectory(config.home());
        QemuVersion version = QemuVersion.of(config.qemu());
        Artifacts artifacts = Artifacts.in(config.artifacts()).fitFor(config.qemu());
        HomeLock lock = HomeLock.take(config.home());
        boolean opened = false;
        try {
            VmDirectories directories = new VmDirectories(vms, RunDirectory.open(config.home()).orElse(vms));
            long tscKhz = TscFrequency.measureKhz(artifacts.memoryLibrary());
            Accelerator accelerator = new AcceleratorProbe(config, artifacts, version, directories, tscKhz).find();
            QemuHypervisor hypervisor = new QemuHypervisor(lock, new Machine(forkingIfTested(config, version), artifacts,
                    version, accelerator, directories, tscKhz), patience);
            opened = true;
            return hypervisor;
        } finally {
            if (!opened) {
                lock.close();
            }
        }
    }

    private static HypervisorConfig forkingIfTested(HypervisorConfig config, QemuVersion version) {
        Optional<String> objection = config.liveFork() == LiveForkChoice.OFF ? Optional.empty()
                : LiveForkVersions.objection(config.liveFork(), version, Linux.libcVersion());
        objection.ifPresent(text -> LOG.warn("VMs are restored, not forked: {}", text));
        return objection.isPresent() ? config.withLiveFork(LiveForkChoice.OFF) : config;
    }

    private static Path vmsDirectory(Path home) {
        Path vms = home.resolve("vms");
        int longest = vms.toString().getBytes(StandardCharsets.UTF_8).length
                + 1 + VmDirectory.ID_LENGTH + 1 + VmDirectory.LONGEST_SOCKET.length();
        if (longest > VmDirectory.MAX_SOCKET_PATH) {
            throw new HypervisorException(
                    "the path %s is too long for unix sockets below it, by %d characters; use a shorter home directory"
                            .formatted(home, longest - VmDirectory.MAX_SOCKET_PATH));
        }
        try {
            return Files.createDirectories(vms);
        } catch (IOException e) {
            throw new HypervisorException("cannot make the directory " + vms + ": " + e, e);
        }
    }

    /** What guests run with: {@code kvm} or {@code tcg}. */
    public String accelerator() {
        return machine.accelerator().label();
    }

    /** What guests run with, {@code kvm} or {@code tcg}, and more: see {@link VmImage#machine}. */
    public String machine() {
        return machine.fingerprint();
    }

    Machine commonMachine() {
        return machine;
    }

    @Override
    public Vm boot(BootSpec spec) {
        for (Path disk : List.of(spec.baseDisk(), spec.writableDisk())) {
            if (!Files.isReadable(disk)) {
                throw new HypervisorException("cannot read the disk " + disk);
            }
        }
        return register(boot.boot(spec.shape(), Boot.of(spec), owner));
    }

    @Override
    public Vm reboot(Path image) {
        ImageManifest manifest = ImageStore.read(image);
        try {
            return reboot(image, manifest);
        } catch (HypervisorException e) {
            return reboot(image, changedSince(manifest, image, e));
        }
    }

    private QemuVm reboot(Path image, ImageManifest manifest) {
        return register(boot.boot(manifest.shape(), Boot.of(image, manifest), owner));
    }

    @Override
    public boolean holdsMemory(Path image) {
        return ImageStore.read(image).holdsMemory();
    }

    @Override
    public Vm start(VmImage image) {
        Path directory = image.directory();
        return register(parents.flatMap(warm -> warm.fork(directory, owner))
                .or(() -> snapshots.start(directory))
                .orElseGet(() -> restoreCounted(directory)));
    }

    private QemuVm restoreCounted(Path image) {
        QemuVm vm = restoredAhead.flatMap(restored -> restored.start(image, owner))
                .orElseGet(() -> restore(image, readStartable(image), owner));
        restoredAhead.ifPresent(restored -> restored.started(image, vm.shape()));
        if (parents.isEmpty() || !parents.get().isKept(image)) {
            snapshots.restored(image);
        }
        return vm;
    }

    private ImageManifest readStartable(Path image) {
        ImageManifest manifest = ImageStore.read(image);
        if (!manifest.holdsMemory()) {
            throw new HypervisorException("the image %s holds a disk only; it can be booted".formatted(image));
        }
        if (!manifest.machine().equals(machine.fingerprint())) {
            throw new HypervisorException(
                    "the image %s was captured on another kind of machine (%s) than this one (%s); build it anew"
                            .formatted(image, manifest.machine(), machine.fingerprint()));
        }
        if (machine.accelerator() == Accelerator.TCG
                && Math.abs(manifest.tscKhz() - machine.tscKhz()) > machine.tscKhz() / 1000) {
            throw new HypervisorException(
                    "the image %s was captured on a machine whose time stamp counter runs at %d kHz, and here it is %d kHz:"
                            .formatted(image, manifest.tscKhz(), machine.tscKhz())
                            + " its clock would be wrong; build it anew");
        }
        return manifest;
    }

    private QemuVm restore(Path image, ImageManifest manifest, VmOwner owner) {
        VmShape shape = manifest.shape();
        blanks.expect(shape);
        blanks.startBegins();
        try {
            Optional<Blank> ready = blanks.take(shape);
            try {
                return ready.orElseGet(() -> Blank.start(machine, shape)).fill(image, manifest).go(owner);
            } catch (HypervisorException e) {
                // A blank that waited may have ended without that having been seen when it was taken.
                ImageManifest current = ready.isPresent() ? ImageStore.read(image) : changedSince(manifest, image, e);
                LOG.debug("a VM is started once more: {}", e.getMessage());
                return Blank.start(machine, shape).fill(image, current).go(owner);
            }
        } finally {
            blanks.startEnded();
        }
    }

    /** The manifest of an image whose layers were merged since its manifest was read; where they were not, that was not it. */
    private static ImageManifest changedSince(ImageManifest manifest, Path image, HypervisorException failure) {
        ImageManifest current = ImageStore.read(image);
        if (current.equals(manifest)) {
            throw failure;
        }
        return current;
    }

    @Override
    public void keepWarm(VmImage image, Consumer<Vm> exercise, Consumer<Vm> firstUse) {
        parents.ifPresent(warm -> warm.keep(image.directory(), readStartable(image.directory()), exercise, firstUse));
        restoredAhead.ifPresent(restored -> restored.expect(image));
    }

    @Override
    public void forget(Path image) {
        parents.ifPresent(warm -> warm.forget(image));
        restoredAhead.ifPresent(restored -> restored.forget(image));
    }

    /** Whether VMs of an image are forked from a warm parent now. */
    public boolean isWarm(VmImage image) {
        return parents.map(warm -> warm.isReady(image.directory())).orElse(false);
    }

    /** The warm parent of an image, if there is one now. */
    Optional<Vm> warmParent(VmImage image) {
        return parents.flatMap(warm -> warm.parentOf(image.directory()));
    }

    /** VMs in an image's state that wait to be started. */
    int restoredAhead(VmImage image) {
        return restoredAhead.map(restored -> restored.ready(image.directory())).orElse(0);
    }

    /** VMs that were forked since this hypervisor was opened. */
    public long forked() {
        return parents.map(WarmParents::forked).orElse(0L);
    }

    /** Forks that failed, after each of which a VM was restored instead. */
    public long failedForks() {
        return parents.map(WarmParents::failed).orElse(0L);
    }

    /** How many VMs were forked while they ran, without being stopped. */
    long forkedRunning() {
        return forks.running();
    }

    private QemuVm register(QemuVm vm) {
        vms.put(vm.id(), vm);
        vm.exit().thenRun(() -> vms.remove(vm.id()));
        return vm;
    }

    /** What VMs ask of the hypervisor. */
    private final class Owner implements VmOwner {
        @Override
        public void gone(QemuVm vm) {
            vms.remove(vm.id());
        }

        @Override
        public FrozenVm freeze(QemuVm vm, int copies) {
            Frozen frozen = snapshots.freeze(
                    vm, machine.vms().resolve("frozen-" + vm.id() + "-" + System.nanoTime()), copies);
            return new FrozenVm() {
                @Override
                public VmShape shape() {
                    return frozen.shape();
                }

                @Override
                public Vm start() {
                    try {
                        return register(frozen.start(owner));
                    } catch (IOException e) {
                        throw notStarted(e);
                    }
                }

                @Override
                public Vm startLast() {
                    try {
                        return register(frozen.startLast(owner));
                    } catch (IOException e) {
                        throw notStarted(e);
                    }
                }

                private HypervisorException notStarted(IOException e) {
                    return new HypervisorException(
                            "a copy of VM %s could not be started: %s".formatted(vm.id(), e.getMessage()), e);
                }

                @Override
                public void close() {
                    frozen.close();
                    snapshots.prepareNext(vm);
                }
            };
        }

        @Override
        public void captured(QemuVm vm, Path image) {
            // Nothing of an earlier image that was there: a sandbox's are in the same place whenever it is paused.
            restoredAhead.ifPresent(restored -> restored.forget(image));
            snapshots.captured(vm, image);
        }

        @Override
        public VmSnapshot snapshot(QemuVm vm, Path directory) {
            return snapshots.take(vm, directory);
        }
    }

    @Override
    public Optional<VmSnapshot> recoverSnapshot(Path directory) {
        return snapshots.recover(directory);
    }

    @Override
    public void recovered() {
        snapshots.recovered();
    }

    @Override
    public void discard(Path directory) {
        forget(directory);
        snapshots.discard(directory);
    }

    @Override
    public VmImage open(Path directory) {
        ImageManifest manifest = readStartable(directory);
        return new VmImage(directory, manifest.shape(), directory.resolve(manifest.baseDisk()), manifest.machine());
    }

    @Override
    public List<Vm> adopt() {
        List<Vm> adopted = new ArrayList<>();
        try (var directories = Files.newDirectoryStream(machine.vms())) {
            for (Path path : directories) {
                if (!vms.containsKey(path.getFileName().toString())) {
                    QemuVm.adopt(machine.directories().of(path), machine, owner)
                            .ifPresent(vm -> adopt(vm, adopted));
                }
            }
        } catch (IOException e) {
            throw new HypervisorException("cannot look for VMs in " + machine.vms() + ": " + e, e);
        }
        Set<String> keep = new HashSet<>(vms.keySet());
        keep.addAll(snapshots.holders());
        Leftovers.remove(machine.directories(), keep);
        LOG.info("took up {} VMs", adopted.size());
        return adopted;
    }

    private void adopt(QemuVm vm, List<Vm> adopted) {
        if (vm.heldSnapshot().isPresent()) {
            snapshots.adopt(vm);
        } else {
            adopted.add(register(vm));
        }
    }

    @Override
    public void expect(VmShape shape) {
        blanks.expect(shape);
    }

    /** Blanks that are ready for a shape, those that have been given an image ahead included. */
    public int blanksReady(VmShape shape) {
        return blanks.ready(shape);
    }

    @Override
    public void close() {
        parents.ifPresent(WarmParents::close);
        snapshots.close();
        forks.close();
        restoredAhead.ifPresent(RestoredAhead::close);
        blanks.close();
        logKeeper.close();
        vms.values().forEach(QemuVm::release);
        machine.directories().close(vms.isEmpty() ? REMOVAL_PATIENCE : Duration.ZERO);
        vms.clear();
        lock.close();
    }
}
