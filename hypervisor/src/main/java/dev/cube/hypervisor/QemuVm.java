package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A VM that has left the pool of blanks, was booted, or was adopted. */
final class QemuVm implements Vm {
    private static final Logger LOG = LoggerFactory.getLogger(QemuVm.class);
    /** Extents of an image that are wanted at most, as long as the price in copied clean pages is low. */
    private static final int WANTED_EXTENTS = 2048;

    private final QemuHandle qemu;
    private final VmShape shape;
    private final Machine machine;
    private final Consumer<QemuVm> onGone;
    private final CompletableFuture<VmExit> exit = new CompletableFuture<>();
    private final ReentrantLock operation = new ReentrantLock();
    /** The VM's own overlays above those of its lineage; the last is active. Guarded by {@link #operation}. */
    private final List<String> overlays = new ArrayList<>();
    private Lineage lineage;
    private int origins;
    private volatile boolean killed;
    private volatile boolean released;

    /** @param onGone is told, once, when QEMU and the directory are gone */
    QemuVm(QemuHandle qemu, VmShape shape, Machine machine, Lineage lineage, List<String> overlays,
            Consumer<QemuVm> onGone) {
        this.qemu = qemu;
        this.shape = shape;
        this.machine = machine;
        this.lineage = lineage;
        this.overlays.addAll(overlays);
        this.onGone = onGone;
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

    /** Name of a VM's overlay file, unique among all VMs since overlays of several meet in one image's directory. */
    static String overlayName(VmDirectory directory, int number) {
        return "overlay-" + directory.id() + "-" + number + ".qcow2";
    }

    /** Name of the node of an overlay. */
    static String overlayNode(int number) {
        return "overlay-" + number;
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
        operation.lock();
        try {
            qemu.qmp().execute("stop");
            ImageManifest manifest = ImageStore.create(directory, this::writeImage);
            startFrom(directory, manifest);
            return new VmImage(directory, shape, directory.resolve(manifest.baseDisk()), manifest.machine());
        } catch (IOException e) {
            throw failure("capture", e);
        } finally {
            operation.unlock();
        }
    }

    private ImageManifest writeImage(Path directory) throws IOException {
        switchOverlay();
        Path state = directory.resolve("device-state");
        DeviceState.save(qemu.qmp(), qemu.directory().path(), state);
        ImageStore.sync(state);
        MemoryMap memory = writeMemory(directory);
        String baseDisk = ImageStore.adopt(lineage.directory().resolve(lineage.baseDisk()), "base-disk", directory);
        return new ImageManifest(ImageManifest.FORMAT, machine.fingerprint(), machine.tscKhz(), shape.vcpus(),
                shape.memoryMib(), "device-state", baseDisk, adoptDisks(directory), memory);
    }

    /**
     * Puts an empty overlay on top, so that the one below is frozen. Before the state is saved, since QEMU lets go of its
     * disks when it has saved; should the rest of the capture fail, the VM merely has a layer more.
     */
    private void switchOverlay() throws IOException {
        int number = overlays.size() + origins * 1000;
        String name = overlayName(qemu.directory(), number);
        Path active = qemu.directory().path().resolve(overlays.getLast());
        Path fresh = qemu.directory().path().resolve(name);
        Qcow2Overlay.create(fresh, overlays.getLast(), DiskFile.QCOW2,
                Qcow2Overlay.virtualSize(qemu.directory().path(), new DiskFile(active.toString(), DiskFile.QCOW2)));
        qemu.qmp().execute("blockdev-add", BlockNodes.unattachedOverlay(overlayNode(number), fresh));
        ObjectNode arguments = QmpMessage.MAPPER.createObjectNode()
                .put("node", activeNode()).put("overlay", overlayNode(number));
        qemu.qmp().execute("blockdev-snapshot", arguments);
        overlays.add(name);
        writeRecord();
    }

    private String activeNode() {
        String name = overlays.getLast();
        return overlayNode(Integer.parseInt(name.substring(name.lastIndexOf('-') + 1, name.length() - ".qcow2".length())));
    }

    private MemoryMap writeMemory(Path directory) throws IOException {
        if (lineage.memory().isEmpty()) {
            Path memory = qemu.directory().memory();
            String name = ImageStore.adopt(memory, "memory-" + id(), directory);
            MemoryMap map = MemoryFiles.ofSparseFile(memory, name, shape.memoryBytes());
            ImageStore.sync(memory);
            return map;
        }
        MemoryMap origin = lineage.memory().get();
        List<PageRun> dirty = DirtyPages.of(pid(), qemu.memory().base(), qemu.memory().size());
        String name = "memory-" + id() + "-" + origins;
        Path file = directory.resolve(name);
        int limit = MemoryMap.MAX_EXTENTS / 2 - origin.extents().size();
        MemoryMap delta = MemoryFiles.copy(pid(), qemu.memory().base(),
                DirtyPages.joined(dirty, Math.max(WANTED_EXTENTS - origin.extents().size(), 256), limit), file, name);
        ImageStore.sync(file);
        List<String> files = new ArrayList<>();
        for (String ancestor : origin.files()) {
            files.add(ImageStore.adopt(lineage.directory().resolve(ancestor), ancestor, directory));
        }
        return new MemoryMap(files, origin.extents()).under(delta);
    }

    private List<DiskFile> adoptDisks(Path directory) throws IOException {
        List<DiskFile> disks = new ArrayList<>();
        for (DiskFile disk : lineage.writableDisk()) {
            Path file = lineage.directory().resolve(disk.file());
            String name = disk.format().equals(DiskFile.RAW) ? "writable-disk" : file.getFileName().toString();
            disks.add(new DiskFile(ImageStore.adopt(file, name, directory), disk.format()));
        }
        for (String frozen : overlays.subList(0, overlays.size() - 1)) {
            Path file = qemu.directory().path().resolve(frozen);
            ImageStore.sync(file);
            disks.add(new DiskFile(ImageStore.adopt(file, frozen, directory), DiskFile.QCOW2));
        }
        return disks;
    }

    /**
     * Lets the VM go on from the image just captured, as one that was started from it would. A booted VM must: its memory
     * file is the image's now.
     */
    private void startFrom(Path directory, ImageManifest manifest) throws IOException {
        String name = "origin-" + (origins + 1);
        Path origin = qemu.directory().path().resolve(name);
        ImageStore.link(directory, manifest, origin);
        try {
            qemu.control().map(origin, manifest.memory());
        } catch (IOException e) {
            // Its memory is in an unknown state: the image is good, the VM is not.
            LOG.error("VM {} cannot go on after it was captured: {}", id(), e.getMessage());
            qemu.process().kill();
            throw e;
        }
        Path before = lineage.directory();
        lineage = Lineage.of(origin, manifest);
        origins++;
        overlays.subList(0, overlays.size() - 1).clear();
        writeRecord();
        if (before.startsWith(qemu.directory().path())) {
            VmDirectory.deleteTree(before);
        }
    }

    private void writeRecord() throws IOException {
        boolean booted = lineage.memory().isEmpty();
        JsonFiles.write(qemu.directory().vmRecord(), new VmRecord(pid(), qemu.process().startTicks(),
                shape.vcpus(), shape.memoryMib(),
                booted ? null : lineage.directory().getFileName().toString(),
                booted ? lineage.baseDisk() : null,
                booted ? lineage.writableDisk().getFirst().file() : null,
                List.copyOf(overlays)));
    }

    /** Takes a VM up again that an earlier server had; empty where there is none that lives. */
    static Optional<QemuVm> adopt(VmDirectory directory, Machine machine, Consumer<QemuVm> onGone) {
        try {
            VmRecord vmRecord = JsonFiles.read(directory.vmRecord(), VmRecord.class);
            Optional<QemuProcess> process = QemuProcess.find(vmRecord.pid(), vmRecord.startTicks());
            if (process.isEmpty()) {
                return Optional.empty();
            }
            Lineage lineage;
            int origins = 0;
            if (vmRecord.origin() == null) {
                lineage = Lineage.booted(Path.of(vmRecord.baseDisk()), Path.of(vmRecord.writableDisk()));
            } else {
                Path origin = directory.path().resolve(vmRecord.origin());
                lineage = Lineage.of(origin, ImageStore.read(origin));
                origins = Integer.parseInt(vmRecord.origin().substring("origin-".length()));
            }
            QemuHandle qemu = QemuHandle.connect(directory, process.get());
            QemuVm vm = new QemuVm(qemu, new VmShape(vmRecord.vcpus(), vmRecord.memoryMib()), machine, lineage,
                    vmRecord.overlays(), onGone);
            vm.origins = origins;
            vm.watch();
            return Optional.of(vm);
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
            onGone.accept(this);
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
