package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A VM that has left the pool of blanks, was booted, or was adopted. */
final class QemuVm implements Vm {
    private static final Logger LOG = LoggerFactory.getLogger(QemuVm.class);
    /** Extents of an image that are wanted at most, as long as the price in copied clean pages is low. */
    private static final int WANTED_EXTENTS = 2048;
    private static final int LEAST_WANTED_EXTENTS = 256;

    private final QemuHandle qemu;
    private final VmShape shape;
    private final Machine machine;
    private final VmOwner owner;
    private final CompletableFuture<VmExit> exit = new CompletableFuture<>();
    private final ReentrantLock operation = new ReentrantLock();
    /** Numbers of the VM's own overlays above the layers of its lineage; the last is active. */
    private final List<Integer> overlays = new ArrayList<>(List.of(0));
    private int nextOverlay = 1;
    private Lineage lineage;
    private volatile boolean killed;
    private volatile boolean released;

    /** A VM with the one overlay that is number 0. */
    QemuVm(QemuHandle qemu, VmShape shape, Machine machine, Lineage lineage, VmOwner owner) {
        this.qemu = qemu;
        this.shape = shape;
        this.machine = machine;
        this.lineage = lineage;
        this.owner = owner;
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

    /** Watches for the end of a VM that is written down already. */
    void watch() {
        qemu.qmp().closed().thenAccept(reason -> {
            if (!released) {
                Thread.ofVirtual().name("end-of-" + id()).start(() -> end(reason));
            }
        });
    }

    QemuHandle qemu() {
        return qemu;
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

    @Override
    public VmImage capture(Path directory) {
        ImageStore.checkAbsent(directory);
        Path fresh = ImageStore.fresh(directory);
        operation.lock();
        try {
            qemu.qmp().execute("stop");
            ImageManifest manifest = goOnFromCapture(fresh).manifest();
            ImageStore.publish(fresh, directory, manifest);
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
     * cannot.
     */
    Captured captureRunning(Path fresh) {
        operation.lock();
        try {
            qemu.qmp().execute("stop");
            try {
                return goOnFromCapture(fresh);
            } finally {
                qemu.qmp().execute("cont");
            }
        } catch (IOException e) {
            throw failure("capture", e);
        } finally {
            operation.unlock();
        }
    }

    @Override
    public VmImage suspend(Path directory) {
        ImageStore.checkAbsent(directory);
        Path fresh = ImageStore.fresh(directory);
        operation.lock();
        try {
            qemu.qmp().execute("stop");
            boolean done = false;
            try {
                int number = nextOverlay++;
                ImageManifest manifest = write(fresh, number, overlays).manifest();
                ImageStore.publish(fresh, directory, manifest);
                done = true;
                kill();
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
    public FrozenVm freeze() {
        return owner.freeze(this);
    }

    private VmImage image(Path directory, ImageManifest manifest) {
        return new VmImage(directory, shape, directory.resolve(manifest.baseDisk()), manifest.machine());
    }

    /** Captures a stopped VM, which goes on, when it does, from the image. */
    private Captured goOnFromCapture(Path fresh) throws IOException {
        int number = switchOverlay();
        Captured captured = write(fresh, number, overlays.subList(0, overlays.size() - 1));
        startFrom(fresh, captured.manifest());
        return captured;
    }

    /**
     * @param number tells the captures of one VM apart
     * @param layers those of the VM's overlays that are in the image
     */
    private Captured write(Path fresh, int number, List<Integer> layers) throws IOException {
        long[] written = new long[1];
        ImageManifest manifest = ImageStore.write(fresh, directory -> {
            DeviceState.save(qemu.qmp(), files(), directory.resolve(ImageManifest.DEVICE_STATE));
            MemoryMap memory = writeMemory(directory, "memory-" + id() + "-" + number, written);
            String base = ImageStore.adopt(files().resolve(lineage.baseDisk()), ImageManifest.BASE_DISK, directory);
            return new ImageManifest(ImageManifest.FORMAT, machine.fingerprint(), machine.tscKhz(), shape.vcpus(),
                    shape.memoryMib(), ImageManifest.DEVICE_STATE, base, adoptDisks(directory, layers), memory);
        });
        return new Captured(manifest, written[0]);
    }

    private Path files() {
        return qemu.directory().path();
    }

    private Path overlay(int number) {
        return qemu.directory().overlay(number);
    }

    /**
     * Puts an empty overlay on top, so that the one below is frozen. Before the state is saved, since QEMU lets go of its
     * disks when it has saved; should the rest of the capture fail, the VM merely has a layer more.
     */
    private int switchOverlay() throws IOException {
        int active = overlays.getLast();
        int number = nextOverlay++;
        Path fresh = overlay(number);
        Qcow2Overlay.create(fresh, files(), frozenLayer(active));
        qemu.qmp().execute("blockdev-add", BlockNodes.unattachedOverlay(number, fresh.getFileName().toString()));
        qemu.qmp().execute("blockdev-snapshot", QmpMessage.MAPPER.createObjectNode()
                .put("node", BlockNodes.overlayNode(active)).put("overlay", BlockNodes.overlayNode(number)));
        overlays.add(number);
        writeRecord();
        return number;
    }

    private DiskFile frozenLayer(int overlay) {
        return new DiskFile(overlay(overlay).getFileName().toString(), DiskFile.QCOW2);
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

    private MemoryMap writeMemory(Path directory, String name, long[] written) throws IOException {
        if (lineage.isBooted()) {
            Path memory = qemu.directory().memory();
            MemoryMap map = MemoryFiles.ofSparseFile(
                    memory, ImageStore.adopt(memory, "memory-" + id(), directory), shape.memoryBytes());
            written[0] = map.bytes();
            return map;
        }
        MemoryMap origin = lineage.memory().orElseThrow();
        List<PageRun> dirty = DirtyPages.of(pid(), qemu.memory().base(), qemu.memory().size());
        int wanted = Math.max(WANTED_EXTENTS - origin.extents().size(), LEAST_WANTED_EXTENTS);
        int limit = MemoryMap.MAX_EXTENTS / 2 - origin.extents().size();
        MemoryMap delta = MemoryFiles.copy(pid(), qemu.memory().base(), DirtyPages.joined(dirty, wanted, limit),
                directory.resolve(name), name);
        written[0] = delta.bytes();
        List<String> files = new ArrayList<>();
        for (String ancestor : origin.files()) {
            files.add(ImageStore.adopt(files().resolve(ancestor), ancestor, directory));
        }
        return new MemoryMap(files, origin.extents()).under(delta);
    }

    private List<DiskFile> adoptDisks(Path directory, List<Integer> own) throws IOException {
        List<DiskFile> layers = new ArrayList<>(lineage.writableDisk());
        own.forEach(overlay -> layers.add(frozenLayer(overlay)));
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
     */
    private void startFrom(Path directory, ImageManifest manifest) throws IOException {
        try {
            ImageStore.link(directory, manifest, files());
            qemu.control().map(files(), manifest.memory());
            lineage = Lineage.of(manifest);
            overlays.subList(0, overlays.size() - 1).clear();
            writeRecord();
        } catch (IOException e) {
            // Its memory is in an unknown state: the image is good, the VM is not.
            LOG.error("VM {} cannot go on after it was captured: {}", id(), e.getMessage());
            qemu.process().kill();
            throw e;
        }
    }

    private void writeRecord() throws IOException {
        JsonFiles.write(qemu.directory().vmRecord(), new VmRecord(pid(), qemu.process().startTicks(),
                shape.vcpus(), shape.memoryMib(),
                lineage.isBooted() ? lineage.baseDisk() : null,
                lineage.isBooted() ? lineage.writableDisk().getFirst().file() : null,
                List.copyOf(overlays), nextOverlay));
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
            QemuVm vm = new QemuVm(qemu, new VmShape(known.vcpus(), known.memoryMib()), machine, lineage, owner);
            vm.overlays.clear();
            vm.overlays.addAll(known.overlays());
            vm.nextOverlay = known.nextOverlay();
            vm.watch();
            return Optional.of(vm);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException | RuntimeException e) {
            LOG.warn("VM {} cannot be taken up again: {}", directory.id(), e.getMessage());
            return Optional.empty();
        }
    }

    @Override
    public void kill() {
        killed = true;
        if (!released) {
            qemu.process().kill();
            exit.join();
        }
    }

    private void end(String reason) {
        String text = reason;
        try {
            // The connection ends a little before the process, or it was broken and the process must end.
            qemu.process().kill();
            String words = qemu.directory().lastWords();
            text = killed ? "killed" : describe(reason, words);
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

    /** Lets go of the VM, which runs on, for a later server to take up. */
    void release() {
        released = true;
        qemu.disconnect();
    }

    private HypervisorException failure(String what, IOException e) {
        String words = qemu.isAlive() ? "" : qemu.directory().lastWords();
        return new HypervisorException("%s of VM %s failed: %s%s"
                .formatted(what, id(), e.getMessage(), words.isEmpty() ? "" : "; QEMU said: " + words), e);
    }
}
