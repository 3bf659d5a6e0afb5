package dev.cube.hypervisor;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A QEMU that was a blank and has been given an image: its VM is stopped in the image's state, and needs only to be let go on. */
record FilledBlank(QemuHandle qemu, VmShape shape, Machine machine, ImageManifest manifest) {
    private static final Logger LOG = LoggerFactory.getLogger(FilledBlank.class);
    private static final Duration CONT_TIMEOUT = Duration.ofSeconds(30);

    /** The running VM. Where that fails, nothing is left of it. */
    QemuVm go(VmOwner owner) {
        try {
            StopWatch watch = new StopWatch();
            QemuVm vm = new QemuVm(qemu, shape, machine, Lineage.of(manifest), owner);
            CompletableFuture<?> running = qemu.qmp().send("cont");
            vm.launch();
            QmpClient.await(running, CONT_TIMEOUT, "cont");
            vm.renewPort();
            watch.lap("cont");
            LOG.debug("VM {} runs; ms: {}", vm.id(), watch);
            return vm;
        } catch (IOException | RuntimeException e) {
            String words = qemu.directory().lastWords();
            qemu.destroy();
            throw new HypervisorException("a restored VM does not run: %s%s"
                    .formatted(e.getMessage(), words.isEmpty() ? "" : "; QEMU said: " + words), e);
        }
    }
}
