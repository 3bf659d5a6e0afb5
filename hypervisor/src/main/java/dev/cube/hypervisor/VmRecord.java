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
 * @param nextOverlay  number that no overlay of the VM has had; where it is more than one above the active one's, a switch to the
 *                     overlay before it may have been under way
 * @param holds        directory of the snapshot whose state this stopped VM holds; null for a VM that runs
 */
record VmRecord(long pid, long startTicks, int vcpus, int memoryMib, String baseDisk, String writableDisk,
        List<Integer> overlays, int nextOverlay, String holds) {

    boolean booted() {
        return baseDisk != null;
    }
}
