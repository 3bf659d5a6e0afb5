package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A QEMU of a certain shape that waits to be given an image. It becomes one VM, and then is a blank no longer. */
record Blank(QemuHandle qemu, VmShape shape, Machine machine) {
    private static final Logger LOG = LoggerFactory.getLogger(Blank.class);

    static Blank start(Machine machine, VmShape shape) {
        QemuHandle qemu = QemuHandle.start(machine, true, directory -> machine.command().blank(directory, shape));
        try {
            QmpClient.await(DeviceState.announce(qemu.qmp()), Duration.ofSeconds(30), "preparing a blank");
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

    /** Is given an image. Where that fails, nothing is left of the blank. */
    FilledBlank fill(Path image, ImageManifest manifest) {
        try {
            StopWatch watch = new StopWatch();
            ImageStore.link(image, manifest, qemu.directory().path());
            CompletableFuture<?> disks = attachDisks(manifest);
            watch.lap("files");
            int state = qemu.control().mapAndOpen(
                    qemu.directory().path(), manifest.memory(), image.resolve(manifest.deviceState()));
            watch.lap("memory");
            QmpClient.await(disks, Duration.ofSeconds(30), "attaching disks");
            watch.lap("disks");
            DeviceState.load(qemu.qmp(), state);
            watch.lap("state");
            LOG.debug("VM {} was restored; ms: {}", qemu.directory().id(), watch);
            return new FilledBlank(qemu, shape, machine, manifest);
        } catch (IOException | RuntimeException e) {
            String words = qemu.directory().lastWords();
            qemu.destroy();
            throw new HypervisorException("start from the image %s failed: %s%s"
                    .formatted(image, e.getMessage(), words.isEmpty() ? "" : "; QEMU said: " + words), e);
        }
    }

    private CompletableFuture<?> attachDisks(ImageManifest manifest) throws IOException {
        Path overlay = qemu.directory().overlay(0);
        Qcow2Overlay.create(overlay, qemu.directory().path(), manifest.writableDisk().getLast());
        return CompletableFuture.allOf(
                qemu.qmp().send("blockdev-add", BlockNodes.base(manifest.baseDisk())),
                qemu.qmp().send("blockdev-add", BlockNodes.overlay(0, overlay.getFileName().toString())),
                qemu.qmp().send("blockdev-reopen", BlockNodes.attach(0)));
    }
}
