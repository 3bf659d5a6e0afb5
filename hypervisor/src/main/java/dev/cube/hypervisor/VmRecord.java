package dev.cube.hypervisor;

import java.util.List;

/**
 * {@code vm.json} in a VM's directory: what a restarted server must know to take the VM up again.
 *
 * @param pid          of its QEMU
 * @param startTicks   when that started, as {@code /proc/PID/stat} has it
 * @param origin       directory below the VM's that links the image its memory is based on; null for a booted VM
 * @param baseDisk     of a booted VM, else null
 * @param writableDisk the lowest layer of a booted VM's writable disk, else null
 * @param overlays     the VM's own overlays on top of that, in its directory; the last is the active one
 */
record VmRecord(long pid, long startTicks, int vcpus, int memoryMib, String origin, String baseDisk,
        String writableDisk, List<String> overlays) {}
