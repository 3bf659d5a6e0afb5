package dev.cube.hypervisor;

import java.io.IOException;

/** A QEMU that was a blank and has been given an image: its VM is stopped in the image's state, and needs only to be let go on. */
record FilledBlank(QemuHandle qemu, VmShape shape, Machine machine, ImageManifest manifest) {
    /** The running VM. Where that fails, nothing is left of it. */
    QemuVm go(VmOwner owner) {
        try {
            QemuVm vm = new QemuVm(qemu, shape, machine, Lineage.of(manifest), owner);
            vm.begin(false, new StopWatch());
            return vm;
        } catch (IOException | RuntimeException e) {
            String words = qemu.directory().lastWords();
            qemu.destroy();
            throw new HypervisorException("a restored VM does not run: %s%s"
                    .formatted(e.getMessage(), words.isEmpty() ? "" : "; QEMU said: " + words), e);
        }
    }
}
