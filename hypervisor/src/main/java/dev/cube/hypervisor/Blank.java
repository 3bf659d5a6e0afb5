package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A QEMU of a certain shape that waits to be given an image. It becomes one VM, and then is a blank no longer. */
record Blank(QemuHandle qemu, VmShape shape, Machine machine) {
    private static final Logger LOG = LoggerFactory.getLogger(Blank.class);

    static Blank start(Machine machine, VmShape shape) {
        QemuHandle qemu = QemuHandle.start(machine, true, directory -> machine.command().blank(directory, shape));
        try {
            QmpClient.await(DeviceState.enable(qemu.qmp()), Duration.ofSeconds(30), "preparing a blank");
            if (qemu.memory().size() != shape.memoryBytes()) {
                throw new IOException("QEMU mapped %d bytes of memory instead of %d"
                        .formatted(qemu.memory().size(), shape.memoryBytes()));
            }
            return new Blank(qemu, shape, machine);
        } catch (IOException e) {
            qemu.destroy();
            throw new HypervisorException("a blank of %s could not be made ready: %s".formatted(shape, e.getMessage()), e);
        }
    }

    /** Becomes a running VM. Where that fails, nothing is left of the blank. */
    QemuVm become(Path image, ImageManifest manifest, Consumer<QemuVm> onGone) {
        try {
            StopWatch watch = new StopWatch();
            VmDirectory directory = qemu.directory();
            Path origin = directory.path().resolve("origin-0");
            ImageStore.link(image, manifest, origin);
            watch.lap("files");
            CompletableFuture<?> disks = attachDisks(origin, manifest);
            int state = qemu.control().mapAndOpen(origin, manifest.memory(), origin.resolve(manifest.deviceState()));
            watch.lap("memory");
            QmpClient.await(disks, Duration.ofSeconds(30), "attaching disks");
            watch.lap("disks");
            DeviceState.load(qemu.qmp(), state);
            watch.lap("state");
            QemuVm vm = new QemuVm(qemu, shape, machine, Lineage.of(origin, manifest),
                    List.of(QemuVm.overlayName(directory, 0)), onGone);
            CompletableFuture<?> running = qemu.qmp().send("cont");
            vm.launch();
            QmpClient.await(running, Duration.ofSeconds(30), "cont");
            watch.lap("cont");
            LOG.debug("VM {} runs; ms: {}", vm.id(), watch);
            return vm;
        } catch (IOException | RuntimeException e) {
            String words = qemu.directory().lastWords();
            qemu.destroy();
            throw new HypervisorException("start from the image %s failed: %s%s"
                    .formatted(image, e.getMessage(), words.isEmpty() ? "" : "; QEMU said: " + words), e);
        }
    }

    private CompletableFuture<?> attachDisks(Path origin, ImageManifest manifest) throws IOException {
        Path overlay = qemu.directory().path().resolve(QemuVm.overlayName(qemu.directory(), 0));
        DiskFile below = manifest.writableDisk().getLast();
        Qcow2Overlay.create(overlay, origin.resolve(below.file()).toString(), below.format(),
                Qcow2Overlay.virtualSize(origin, below));
        return CompletableFuture.allOf(
                qemu.qmp().send("blockdev-add", BlockNodes.base(origin.resolve(manifest.baseDisk()))),
                qemu.qmp().send("blockdev-add",
                        BlockNodes.overlay(QemuVm.overlayNode(0), overlay, origin, manifest.writableDisk())),
                qemu.qmp().send("blockdev-reopen", BlockNodes.attach(QemuVm.overlayNode(0))));
    }
}
