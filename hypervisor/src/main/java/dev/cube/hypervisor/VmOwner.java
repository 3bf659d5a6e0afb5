package dev.cube.hypervisor;

import java.nio.file.Path;

/** Whom a VM belongs to: what is more than its own business. */
interface VmOwner {
    /** Told once, when QEMU and the VM's directory are gone. */
    void gone(QemuVm vm);

    /** An image was made of the VM, which may have ended since. */
    void captured(QemuVm vm, Path image);

    /** As {@link Vm#freeze}. */
    FrozenVm freeze(QemuVm vm, int copies);

    /** As {@link Vm#snapshot}. */
    VmSnapshot snapshot(QemuVm vm, Path directory);
}
