package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A VM that has left the pool of blanks, was booted, or was adopted. */
final class QemuVm implements Vm {
    private static final Logger LOG = LoggerFactory.getLogger(QemuVm.class);
    private static final Duration ANSWER_TIMEOUT = Duration.ofSeconds(60);
    private static final Duration HANG_UP_TIMEOUT = Duration.ofSeconds(20);
    private static final long HANG_UP_LOOK_NANOS = 1_000_000;
    /** With more layers than this a VM's disk is merged before it gets another. */
    private static final int MOST_UNMERGED = 16;
    /** For more than so many the active overlay is frozen: each would have to copy it, for half a millisecond or more. */
    private static final int MOST_COPIES_OF_OVERLAY = 3;

    private final QemuHandle qemu;
    private final VmShape shape;
    private final Machine machine;
    private final VmOwner owner;
    private final CompletableFuture<VmExit> exit = new CompletableFuture<>();
    private final ReentrantLock operation = new ReentrantLock();
    private final DiskLayers disks;
    private Lineage lineage;
    /** Whether it is known that this QEMU can be forked, which its forks then can too. */
    private boolean forkable;
    /** A state that the VM was in, held by a fork; most of its pages may still be the VM's. */
    private Optional<FrozenFork> former = Optional.empty();
    /** The snapshot whose state this VM holds, if it is one that does. */
    private Optional<Path> holds = Optional.empty();
    private ForkHold hold;
    /** What a restarted server is told, if it is told anything yet. */
    private VmRecord written;
    private volatile boolean killed;
    private volatile boolean released;
    private boolean ending;

    /** A VM with the one overlay that is number 0. */
    QemuVm(QemuHandle qemu, VmShape shape, Machine machine, Lineage lineage, VmOwner owner) {
        this(qemu, shape, machine, lineage, owner, List.of(0), 1);
    }

    private QemuVm(QemuHandle qemu, VmShape shape, Machine machine, Lineage lineage, VmOwner owner,
            List<Integer> overlays, int nextOverlay) {
        this.qemu = qemu;
        this.shape = shape;
        this.machine = machine;
        this.lineage = lineage;
        this.owner = owner;
        this.hold = ForkHold.none(qemu);
        this.disks = new DiskLayers(qemu, lineage.writableDisk(), overlays, nextOverlay);
    }

    /** A child of a QEMU that was forked. */
    static QemuVm forked(QemuHandle qemu, QemuVm parent, Lineage lineage, VmOwner owner) {
        int overlay = parent.disks.active();
        QemuVm child = new QemuVm(qemu, parent.shape, parent.machine, lineage, owner, List.of(overlay), overlay + 1);
        if (parent.disks.ahead().isPresent()) {
            child.disks.isAhead();
        }
        child.forkable = true;
        return child;
    }

    /** Writes down what a restarted server must know, and begins to watch for the end. */
    void launch() throws IOException {
        operation.lock();
        try {
            writeRecord();
        } finally {
            operation.unlock();
        }
        watch();
    }

    /**
     * Has a VM run that was stopped and nobody's, and is to be known from now on.
     *
     * @param portAtRest whether its state is known to have no connection to the guest's port
     */
    void begin(boolean portAtRest, StopWatch watch) throws IOException {
        CompletableFuture<?> running = qemu.qmp().send("cont");
        launch();
        watch.lap("record");
        QmpClient.await(running, ANSWER_TIMEOUT, "cont");
        if (!portAtRest) {
            renewPort();
        }
        watch.lap("cont");
        LOG.debug("VM {} runs; ms: {}", id(), watch);
    }

    /** Watches for the end of a VM that is written down already. */
    void watch() {
        qemu.qmp().closed().thenAccept(reason -> {
            if (beginEnd()) {
                Thread.ofVirtual().name("end-of-" + id()).start(() -> end(reason));
            }
        });
    }

    QemuHandle qemu() {
        return qemu;
    }

    /** The VM is, or was at some time, in the state that is held there. */
    void descendsFrom(Optional<FrozenFork> state) {
        operation.lock();
        try {
            former = state;
        } finally {
            operation.unlock();
        }
    }

    Optional<Path> heldSnapshot() {
        return holds;
    }

    @Override
    public String id() {
        return qemu.directory().id();
    }

    @Override
    public VmShape shape() {
        return shape;
    }

    @Override
    public long pid() {
        return qemu.process().pid();
    }

    @Override
    public Path agentSocket() {
        return qemu.directory().agentSocket();
    }

    @Override
    public String console() {
        try {
            return Console.read(qemu.qmp());
        } catch (IOException e) {
            return "";
        }
    }

    @Override
    public void pause() {
        command("stop");
    }

    @Override
    public void resume() {
        command("cont");
    }

    private void command(String name) {
        operation.lock();
        try {
            qemu.qmp().execute(name);
        } catch (IOException e) {
            throw failure(name.equals("stop") ? "pause" : "resume", e);
        } finally {
            operation.unlock();
        }
    }

    /** Stops the VM once its host has hung up, so that all that are made of it have a port that nobody is connected to. */
    void pauseHungUp() throws IOException {
        operation.lock();
        try {
            awaitHangUp();
            qemu.qmp().execute("stop");
        } finally {
            operation.unlock();
        }
    }

    /**
     * Waits until QEMU has noticed that the connection to the agent was closed, while the VM runs: a stopped VM's port is cut off
     * from what happens to its socket (see {@link #renewPort}).
     */
    private void awaitHangUp() throws IOException {
        long deadline = System.nanoTime() + HANG_UP_TIMEOUT.toNanos();
        while (isAgentConnected()) {
            if (System.nanoTime() > deadline) {
                throw new IOException("somebody is still connected to the agent");
            }
            LockSupport.parkNanos(HANG_UP_LOOK_NANOS);
        }
    }

    /** QEMU's name for a socket's character device begins with {@code disconnected:} as long as that is so. */
    private boolean isAgentConnected() throws IOException {
        for (JsonNode device : qemu.qmp().execute("query-chardev")) {
            if (device.path("label").asText().equals(QemuCommand.AGENT_DEVICE)) {
                return !device.path("filename").asText().startsWith("disconnected:");
            }
        }
        throw new IOException("QEMU has no port for the agent");
    }

    /**
     * Has the port of a running VM begin anew, if the state that the VM was made from may have been connected to a host. QEMU
     * forgets that a connection has ended if it notices that while the VM is stopped: it takes the port to be connected for good,
     * and holds all output back once something was written without a host. A connection that ends now puts both right, and what
     * is connected to next is a new host to the guest.
     */
    private void renewPort() throws IOException {
        SocketChannel.open(UnixDomainSocketAddress.of(agentSocket())).close();
    }

    @Override
    public VmImage capture(Path directory) {
        ImageStore.checkAbsent(directory);
        Path fresh = ImageStore.fresh(directory);
        operation.lock();
        try {
            pauseHungUp();
            ImageManifest manifest = goOnFromCapture(fresh, image -> { }).manifest();
            ImageStore.publish(fresh, directory, manifest);
            owner.captured(this, directory);
            return image(directory, manifest);
        } catch (IOException e) {
            throw failure("capture", e);
        } finally {
            operation.unlock();
        }
    }

    /** An image of a VM, and how many bytes of guest memory were written for it. */
    record Captured(ImageManifest manifest, long writtenBytes) {}

    /**
     * Captures the VM in a directory that nobody knows of yet. It stands still meanwhile and goes on, in any case unless it
     * cannot, which is told in the log where the image is good.
     *
     * @return as soon as VMs can be made from the image, which the VM has no need of then; it may stand still a little longer
     */
    Captured captureRunning(Path fresh) {
        CompletableFuture<Captured> captured = new CompletableFuture<>();
        Thread.ofVirtual().name("capture-" + id()).start(() -> {
            try {
                captureRunning(fresh, captured);
            } catch (RuntimeException e) {
                if (!captured.completeExceptionally(e) && !killed) {
                    LOG.error("after a capture: {}", e.getMessage());
                }
            }
        });
        try {
            return captured.join();
        } catch (CompletionException e) {
            throw e.getCause() instanceof HypervisorException known ? new HypervisorException(known.getMessage(), known) : e;
        }
    }

    private void captureRunning(Path fresh, CompletableFuture<Captured> captured) {
        StopWatch watch = new StopWatch();
        operation.lock();
        try {
            mergeIfTooMany();
            qemu.qmp().execute("stop");
            watch.lap("stop");
            try {
                goOnFromCapture(fresh, image -> {
                    watch.lap("image");
                    captured.complete(image);
                });
                watch.lap("map");
            } finally {
                qemu.qmp().execute("cont");
            }
            watch.lap("cont");
            LOG.debug("VM {} was captured; ms: {}", id(), watch);
        } catch (IOException e) {
            throw failure("capture", e);
        } finally {
            operation.unlock();
            if (!captured.isDone()) {
                VmDirectory.deleteTree(fresh);
            }
        }
    }

    @Override
    public VmImage suspend(Path directory, boolean keepMemory) {
        ImageStore.checkAbsent(directory);
        Path fresh = ImageStore.fresh(directory);
        StopWatch watch = new StopWatch();
        operation.lock();
        try {
            mergeIfTooMany();
            pauseHungUp();
            watch.lap("stop");
            boolean done = false;
            try {
                ImageManifest manifest = write(fresh, disks::withActive, keepMemory).manifest();
                watch.lap("write");
                ImageStore.publish(fresh, directory, manifest);
                watch.lap("publish");
                done = true;
                kill();
                watch.lap("end");
                LOG.debug("VM {} was suspended; ms: {}", id(), watch);
                owner.captured(this, directory);
                return image(directory, manifest);
            } finally {
                if (!done) {
                    qemu.qmp().execute("cont");
                }
            }
        } catch (IOException e) {
            throw failure("suspend", e);
        } finally {
            operation.unlock();
        }
    }

    @Override
    public VmSnapshot snapshot(Path directory) {
        return owner.snapshot(this, directory);
    }

    @Override
    public FrozenVm freeze(int copies) {
        return owner.freeze(this, copies);
    }

    private VmImage image(Path directory, ImageManifest manifest) {
        return new VmImage(directory, shape, directory.resolve(manifest.baseDisk()), manifest.machine());
    }

    /**
     * Captures a stopped VM, which goes on, when it does, from the image.
     *
     * @param done is told as soon as the VM has no more need of the directory
     */
    private Captured goOnFromCapture(Path fresh, Consumer<Captured> done) throws IOException {
        Captured captured = write(fresh, this::switchOverlay, true);
        startFrom(fresh, captured.manifest(), () -> done.accept(captured));
        return captured;
    }

    /**
     * Forks the running VM into one that does not run.
     *
     * @param snapshot directory of the image that will be made of it, if one will
     * @param copies   as of {@link Vm#freeze}
     */
    FrozenFork forkFrozen(Forks forker, Optional<Path> snapshot, int copies) throws IOException {
        StopWatch watch = new StopWatch();
        operation.lock();
        try {
            if (lineage.isBooted()) {
                throw new IOException("a VM that was booted has memory that is not its own alone");
            }
            if (!forkable) {
                forker.check(qemu);
                forkable = true;
            }
            mergeIfTooMany();
            OptionalInt overlay = copies <= MOST_COPIES_OF_OVERLAY && disks.isActiveSmall() ? OptionalInt.empty() : OptionalInt.of(openOverlay());
            watch.lap("overlay");
            ImageManifest manifest = manifest(lineage.baseDisk(), overlay.isEmpty() ? disks.frozen() : disks.withActive(),
                    lineage.memory().orElseThrow());
            Optional<Forks.Started> running = overlay.isEmpty() ? forkRunning(forker, manifest) : Optional.empty();
            watch.lap("running");
            Forks.Started started;
            if (running.isPresent()) {
                started = running.get();
            } else {
                started = forkStopped(forker, manifest, overlay, watch);
                letGoOn();
            }
            QemuVm child = takeUp(started, manifest, snapshot, running.isPresent(), copies);
            watch.lap("child");
            LOG.debug("VM {} was frozen; ms: {}", id(), watch);
            FrozenFork frozen = new FrozenFork(new ForkParent(child, forker, manifest), former, snapshot.isPresent(),
                    snapshot.isPresent() ? machine.config().forksReady() : 0);
            if (snapshot.isPresent()) {
                former = Optional.of(frozen);
            }
            return frozen;
        } finally {
            operation.unlock();
        }
    }

    /**
     * Forks the VM as it runs, which notices that by some milliseconds only in which it does nothing. The disk is copied meanwhile.
     *
     * @return empty, and nothing is left of it, if the VM writes to its disk, or does much else than execute its own code, or cannot be forked so
     */
    private Optional<Forks.Started> forkRunning(Forks forker, ImageManifest manifest) throws IOException {
        Optional<FileTime> written = OverlayCopy.settled(disks.activeFile());
        if (written.isEmpty()) {
            return Optional.empty();
        }
        VmDirectory child = machine.directories().create();
        Optional<Forks.Started> started = Optional.empty();
        boolean done = false;
        try (OverlayCopy copy = disks.copyActive(child)) {
            disks.createAhead(child);
            SideTask<?> copying = SideTask.start(() -> {
                copy.update();
                link(manifest, child);
                return null;
            });
            try {
                started = forker.startRunning(qemu, child, disks.open(), new ForkRequest.Running(disks.activeFile(), written.get()));
            } finally {
                copying.awaitEnd();
            }
            copying.await();
            done = started.isPresent() && copy.isOf(written.get());
        } catch (IOException e) {
            // As by the library of an earlier release, in a QEMU that was taken up.
            LOG.debug("VM {} is stopped for its fork: {}", id(), e.getMessage());
        } finally {
            if (!done && started.isPresent()) {
                started.get().complete().destroy();
            } else if (!done) {
                child.delete();
            }
        }
        return done ? started : Optional.empty();
    }

    /** Stops the VM and forks it. It goes on if that fails. */
    private Forks.Started forkStopped(Forks forker, ImageManifest manifest, OptionalInt overlay, StopWatch watch) throws IOException {
        try {
            VmDirectory directory = stopFor(manifest, overlay);
            watch.lap("stop");
            Forks.Started started = forker.start(qemu, directory, disks.open());
            watch.lap("fork");
            return started;
        } catch (IOException | RuntimeException e) {
            goOn(qemu.qmp().send("cont"));
            throw e;
        }
    }

    /**
     * Stops the VM for a fork, whose disk is then its own: above frozen layers that both have, the fork has a copy of the active
     * overlay, or both have an empty one.
     *
     * @param overlay is put on top, if there is one
     * @return what the fork needs
     */
    private VmDirectory stopFor(ImageManifest manifest, OptionalInt overlay) throws IOException {
        VmDirectory child = machine.directories().create();
        boolean done = false;
        try (OverlayCopy copy = overlay.isEmpty() ? disks.copyActive(child) : null) {
            CompletableFuture<?> stopped = qemu.qmp().send("stop");
            CompletableFuture<?> switched = overlay.isPresent()
                    ? disks.sendSwitch(overlay.getAsInt()) : CompletableFuture.completedFuture(null);
            try {
                link(manifest, child);
                if (overlay.isPresent()) {
                    Qcow2Overlay.create(child.overlay(overlay.getAsInt()), child.path(), manifest.writableDisk().getLast());
                } else {
                    copy.update();
                    disks.createAhead(child);
                }
            } finally {
                QmpClient.await(CompletableFuture.allOf(stopped, switched), ANSWER_TIMEOUT, "stop");
                overlay.ifPresent(disks::switched);
            }
            if (overlay.isEmpty()) {
                copy.update();
            }
            done = true;
            return child;
        } finally {
            if (!done) {
                child.delete();
            }
        }
    }

    /** Has a fork run whose state was that of a VM with a connection to its agent. */
    void goOn() throws IOException {
        operation.lock();
        try {
            if (hold.release()) {
                writeRecord();
            } else {
                goOn(qemu.qmp().send("cont"));
            }
            renewPort();
        } finally {
            operation.unlock();
        }
    }

    private void goOn(CompletableFuture<?> running) throws IOException {
        writeRecord();
        QmpClient.await(running, ANSWER_TIMEOUT, "cont");
    }

    /**
     * Has the VM run again. That QEMU has done so is not waited for: it does as it is told in order, so whatever it is told next
     * finds it done.
     */
    private void letGoOn() {
        qemu.qmp().send("cont").whenComplete((done, failure) -> {
            // The end of the connection is dealt with elsewhere, and may mean that the VM is left for a later server.
            if (failure != null && !qemu.qmp().closed().isDone()) {
                LOG.error("VM {} does not go on: {}", id(), failure.getMessage());
                qemu.process().kill();
            }
        });
    }

    /**
     * Takes up this VM's fork. Where that fails nothing is left of it.
     *
     * @param running whether it was not stopped for the fork
     * @param copies  as of {@link Vm#freeze}
     */
    private QemuVm takeUp(Forks.Started started, ImageManifest manifest, Optional<Path> snapshot, boolean running, int copies)
            throws IOException {
        QemuHandle fork;
        try {
            fork = started.complete();
        } catch (IOException | RuntimeException e) {
            writeRecord();
            throw e;
        }
        boolean done = false;
        try {
            QemuVm child = forked(fork, this, Lineage.of(manifest), owner);
            child.former = former;
            child.holds = snapshot;
            if (running) {
                child.hold = ForkHold.undecided(fork);
            } else {
                fork.control().adopt();
            }
            if (copies > 1) {
                child.hold.stop();
            }
            if (snapshot.isPresent()) {
                child.hold.stop();
                child.writeRecord();
            }
            writeRecord();
            child.watch();
            done = true;
            return child;
        } finally {
            if (!done) {
                fork.destroy();
            }
        }
    }

    /** Waits until a fork stands still for QEMU too, which is told to stop it if it was not. */
    void standStill() throws IOException {
        QmpClient.await(hold.stop(), ANSWER_TIMEOUT, "stop");
    }

    /** Links all that a VM in this one's state needs, but the overlay. */
    private void link(ImageManifest manifest, VmDirectory child) throws IOException {
        if (Lineage.of(manifest).equals(lineage)) {
            ImageStore.link(files(), manifest, child.path());
        } else {
            JsonFiles.write(child.path().resolve(ImageManifest.FILE), manifest);
            ImageStore.linkFiles(files(), manifest, child.path());
        }
    }

    /** Makes an image of a stopped VM, in a directory that nobody knows of yet. */
    Captured writeStopped(Path fresh) throws IOException {
        operation.lock();
        try {
            standStill();
            return write(fresh, disks::ofState, true);
        } finally {
            operation.unlock();
        }
    }

    /** Sees to it that layers of the disk change no more. */
    @FunctionalInterface
    private interface DiskState {
        List<DiskFile> layers() throws IOException;
    }

    /** The memory is written beside the rest: by another of QEMU's threads than that which deals with disks and devices. */
    private Captured write(Path fresh, DiskState disk, boolean keepMemory) throws IOException {
        long[] written = new long[1];
        // Tells the captures of one VM apart.
        String name = "memory-" + id() + "-" + disks.next();
        ImageManifest manifest = ImageStore.write(fresh, directory -> {
            SideTask<MemoryWriter.Written> writing = keepMemory ? SideTask.start(() -> writeMemory(directory, name))
                    : SideTask.done(new MemoryWriter.Written(new MemoryMap(List.of(), List.of()), 0));
            List<DiskFile> layers;
            try {
                layers = disk.layers();
                DeviceState.save(qemu.qmp(), qemu.directory(), directory.resolve(ImageManifest.DEVICE_STATE));
            } finally {
                writing.awaitEnd();
            }
            MemoryWriter.Written memory = writing.await();
            written[0] = memory.bytes();
            String base = ImageStore.adopt(files().resolve(lineage.baseDisk()), ImageManifest.BASE_DISK, directory);
            return manifest(base, adoptDisks(directory, layers), memory.map());
        });
        return new Captured(manifest, written[0]);
    }

    private ImageManifest manifest(String baseDisk, List<DiskFile> layers, MemoryMap memory) {
        return new ImageManifest(ImageManifest.FORMAT, machine.fingerprint(), machine.tscKhz(), shape.vcpus(),
                shape.memoryMib(), ImageManifest.DEVICE_STATE, baseDisk, layers, memory);
    }

    private MemoryWriter.Written writeMemory(Path directory, String name) throws IOException {
        if (lineage.isBooted()) {
            Path memory = qemu.directory().memory();
            MemoryMap map = MemoryFiles.ofSparseFile(
                    memory, ImageStore.adopt(memory, "memory-" + id(), directory), shape.memoryBytes());
            return new MemoryWriter.Written(map, map.bytes());
        }
        MemoryMap origin = lineage.memory().orElseThrow();
        Optional<FrozenFork.Use> use = former.flatMap(FrozenFork::use);
        if (use.isPresent()) {
            try (FrozenFork.Use known = use.get()) {
                return MemoryWriter.write(qemu, origin, files(), known.former(), directory, name);
            } catch (IOException e) {
                if (use.get().isAlive()) {
                    throw e;
                }
                LOG.debug("VM {}: the former state is gone: {}", id(), e.getMessage());
                Files.deleteIfExists(directory.resolve(name));
            }
        }
        return MemoryWriter.write(qemu, origin, files(), null, directory, name);
    }

    private Path files() {
        return qemu.directory().path();
    }

    /**
     * Puts an empty overlay on top, so that the one below is frozen. Before the state is saved, since QEMU lets go of its
     * disks when it has saved; should the rest of the capture fail, the VM merely has a layer more.
     *
     * @return the frozen layers
     */
    private List<DiskFile> switchOverlay() throws IOException {
        int number = openOverlay();
        QmpClient.await(disks.sendSwitch(number), ANSWER_TIMEOUT, "blockdev-snapshot");
        disks.switched(number);
        writeRecord();
        return disks.frozen();
    }

    /** The frozen layers of the VM's disk, the lowest first; empty if a booted VM's, which are not merged. */
    List<DiskFile> frozenLayers() {
        operation.lock();
        try {
            return lineage.isBooted() ? List.of() : disks.frozen();
        } finally {
            operation.unlock();
        }
    }

    /**
     * Has the VM use a merged file in place of layers that its disk has, whether it runs or not; does nothing where it does not have
     * them. A server that dies meanwhile leaves a VM that the next one can take up.
     *
     * @return whether the layers were replaced
     */
    boolean replaceLayers(LayerMerge merge, Path file) throws IOException {
        operation.lock();
        try {
            if (lineage.isBooted() || !qemu.isAlive() || !disks.canReplace(merge)) {
                return false;
            }
            merge.link(file, files());
            disks.replace(merge);
            lineage = lineage.withWritableDisk(disks.lineage());
            JsonFiles.write(files().resolve(ImageManifest.FILE),
                    manifest(lineage.baseDisk(), disks.lineage(), lineage.memory().orElseThrow()));
            writeRecord();
            merge.removeOthers(files());
            return true;
        } finally {
            operation.unlock();
        }
    }

    /** Layers are merged behind snapshots, but these may come faster. Should it fail, the VM merely keeps its layers. */
    private void mergeIfTooMany() {
        if (lineage.isBooted() || disks.frozen().size() < MOST_UNMERGED) {
            return;
        }
        Path file = files().resolve("merged");
        try {
            LayerMerge merge = LayerMerge.of(files(), disks.frozen());
            if (merge.isWorthwhile() && disks.canReplace(merge)) {
                Files.deleteIfExists(file);
                merge.write(files(), file);
                replaceLayers(merge, file);
                Files.delete(file);
            }
        } catch (IOException e) {
            LOG.warn("the layers of the disk of VM {} cannot be merged: {}", id(), e.getMessage());
        }
    }

    /**
     * Turns the memory of a stopped VM, which will not run again, into a mapping of one file with all that it holds. No
     * page is the VM's own then, and a fork of it has no page tables of guest memory to copy.
     */
    MemoryMap flattenMemory() throws IOException {
        operation.lock();
        try {
            MemoryControl.Location memory = qemu.memory();
            Path file = files().resolve("flat-memory-" + id());
            MemoryMap flat = MemoryFiles.flatten(files(), lineage.memory().orElseThrow(), pid(), memory.base(),
                    DirtyPages.of(pid(), memory.base(), memory.size()), file, shape.memoryBytes());
            qemu.control().map(files(), flat);
            return flat;
        } finally {
            operation.unlock();
        }
    }

    private List<DiskFile> adoptDisks(Path directory, List<DiskFile> layers) throws IOException {
        List<DiskFile> adopted = new ArrayList<>();
        for (DiskFile layer : layers) {
            Path file = files().resolve(layer.file());
            adopted.add(new DiskFile(
                    ImageStore.adopt(file, file.getFileName().toString(), directory), layer.format()));
        }
        return adopted;
    }

    /**
     * Lets the VM go on from the image just captured, as one that was started from it would. A booted VM must: its memory
     * file is the image's now.
     *
     * @param linked runs when the VM has all that it needs of the image
     */
    private void startFrom(Path directory, ImageManifest manifest, Runnable linked) throws IOException {
        boolean asBefore = !lineage.isBooted();
        try {
            ImageStore.link(directory, manifest, files());
            asBefore = false;
            linked.run();
            qemu.control().map(files(), manifest.memory());
            lineage = Lineage.of(manifest);
            former = Optional.empty();
            disks.startFrom(lineage.writableDisk());
        } catch (IOException e) {
            if (!asBefore && !killed) {
                // Its memory is in an unknown state: the image is good, the VM is not.
                LOG.error("VM {} cannot go on after it was captured: {}", id(), e.getMessage());
                qemu.process().kill();
            }
            throw e;
        }
        try {
            writeRecord();
        } catch (IOException e) {
            // As on a full disk. A server that finds the record of before knows the VM by the manifest, which is the new one.
            LOG.warn("VM {} was captured, which could not be written down: {}", id(), e.getMessage());
        }
    }

    /** Has QEMU open the overlay that the next capture will put on top. */
    void addOverlayAhead() throws IOException {
        operation.lock();
        try {
            disks.addAhead();
        } finally {
            operation.unlock();
        }
    }

    /** Numbers of the active overlay and, if there is one, of the one that was opened ahead. */
    List<Integer> openOverlays() {
        operation.lock();
        try {
            return disks.open();
        } finally {
            operation.unlock();
        }
    }

    /** Has QEMU open the next overlay, of which a restarted server knows before it is put on top. */
    private int openOverlay() throws IOException {
        int number = disks.reserve();
        writeRecord(number);
        QmpClient.await(disks.sendAdd(number), ANSWER_TIMEOUT, "blockdev-add");
        return number;
    }

    private void writeRecord() throws IOException {
        writeRecord(disks.next());
    }

    private void writeRecord(int nextOverlay) throws IOException {
        VmRecord record = new VmRecord(pid(), qemu.process().startTicks(),
                shape.vcpus(), shape.memoryMib(),
                lineage.isBooted() ? lineage.baseDisk() : null,
                lineage.isBooted() ? lineage.writableDisk().getFirst().file() : null,
                disks.overlays(), nextOverlay, holds.map(Path::toString).orElse(null));
        if (!record.equals(written)) {
            JsonFiles.write(qemu.directory().vmRecord(), record);
            written = record;
        }
    }

    /** Takes a VM up again that an earlier server had; empty where there is none that lives. */
    static Optional<QemuVm> adopt(VmDirectory directory, Machine machine, VmOwner owner) {
        try {
            VmRecord known = JsonFiles.read(directory.vmRecord(), VmRecord.class);
            Optional<QemuProcess> process = QemuProcess.find(known.pid(), known.startTicks());
            if (process.isEmpty()) {
                return Optional.empty();
            }
            Lineage lineage = known.booted()
                    ? Lineage.booted(known.baseDisk(), known.writableDisk())
                    : Lineage.of(ImageStore.read(directory.path()));
            QemuHandle qemu = QemuHandle.connect(directory, process.get());
            QemuVm vm = new QemuVm(qemu, new VmShape(known.vcpus(), known.memoryMib()), machine, lineage, owner,
                    above(lineage, known.overlays(), directory), known.nextOverlay() + 1);
            if (known.holds() == null) {
                vm.settle(known.nextOverlay());
            } else {
                vm.holds = Optional.of(Path.of(known.holds()));
            }
            vm.watch();
            return Optional.of(vm);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException | RuntimeException e) {
            LOG.warn("VM {} cannot be taken up again: {}", directory.id(), e.getMessage());
            return Optional.empty();
        }
    }

    /** Overlays that are no layers of the lineage. Some are where the earlier server died between writing down that and these. */
    private static List<Integer> above(Lineage lineage, List<Integer> overlays, VmDirectory directory) {
        return overlays.stream().filter(overlay -> !lineage.writableDisk().contains(
                new DiskFile(directory.frozenOverlay(overlay).getFileName().toString(), DiskFile.QCOW2))).toList();
    }

    /** Ends what the earlier server may have been in the middle of: a switch of overlays, and a stop for it. */
    private void settle(int announcedOverlay) throws IOException {
        try {
            QmpClient.await(disks.sendSwitch(announcedOverlay), ANSWER_TIMEOUT, "blockdev-snapshot");
            disks.switched(announcedOverlay);
        } catch (QmpException e) {
            // "already has a backing image": it had come about. Otherwise it had not begun.
            if (e.getMessage().contains("already")) {
                disks.switched(announcedOverlay);
            }
        }
        writeRecord();
        qemu.qmp().execute("cont");
        renewPort();
    }

    @Override
    public void kill() {
        killed = true;
        if (!released) {
            qemu.process().kill();
            exit.join();
        }
    }

    private boolean beginEnd() {
        synchronized (exit) {
            ending = !released;
            return ending;
        }
    }

    private void end(String reason) {
        String text = reason;
        try {
            // The connection ends a little before the process, or it was broken and the process must end.
            qemu.process().kill();
            text = killed ? "killed" : describe(reason, qemu.directory().lastWords());
            qemu.disconnect();
            qemu.directory().delete();
        } catch (RuntimeException e) {
            LOG.error("VM {} could not be cleaned up: {}", id(), e.getMessage());
        } finally {
            owner.gone(this);
            exit.complete(new VmExit(killed, text));
        }
    }

    private String describe(String reason, String words) {
        String known = qemu.notes().reason().isEmpty() ? reason : qemu.notes().reason();
        return words.isEmpty() ? known : known + "; QEMU said: " + words;
    }

    @Override
    public CompletionStage<VmExit> exit() {
        return exit.minimalCompletionStage();
    }

    /** Lets go of the VM, which runs on, for a later server to take up. One that has ended is gone afterwards. */
    void release() {
        boolean ends;
        synchronized (exit) {
            released = true;
            ends = ending;
        }
        qemu.disconnect();
        if (ends) {
            exit.join();
        }
    }

    private HypervisorException failure(String what, IOException e) {
        String words = qemu.isAlive() ? "" : qemu.directory().lastWords();
        return new HypervisorException("%s of VM %s failed: %s%s"
                .formatted(what, id(), e.getMessage(), words.isEmpty() ? "" : "; QEMU said: " + words), e);
    }
}
