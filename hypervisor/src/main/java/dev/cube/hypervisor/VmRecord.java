package dev.cube.hypervisor;

import java.util.List;

/**
 * {@code vm.json} in a VM's directory: what a restarted server must know to take the VM up again. A VM that was not booted
 * has the manifest of the image that its memory is based on beside it.
 *
 * @param pid          of its QEMU
 * @param startTicks   when that started, as {@code /proc/PID/stat} has it
 * @param baseDisk     of a booted VM, else null
 * @param writableDisk the lowest layer of a booted VM's writable disk, else null
 * @param overlays     numbers of the VM's own overlays on top of its lineage's layers; the last is the active one
 * @param nextOverlay  number of the next overlay, to which a switch may have been under way; none of the VM's had it or a higher one
 * @param holds        directory of the snapshot whose state this stopped VM holds; null for a VM that runs
 */
record VmRecord(long pid, long startTicks, int vcpus, int memoryMib, String baseDisk, String writableDisk,
        List<Integer> overlays, int nextOverlay, String holds) {

    boolean booted() {
        return baseDisk != null;
    }
}
