package dev.cube.hypervisor;

import java.nio.file.Path;

/**
 * All that VMs of this server have in common.
 *
 * @param directories where VMs' directories are
 * @param tscKhz      frequency of the host's time stamp counter, which guests under TCG see
 */
record Machine(HypervisorConfig config, Artifacts artifacts, QemuVersion version, Accelerator accelerator,
        VmDirectories directories, long tscKhz) {
    /**
     * What the kernel does several times a second without need wakes a processor of the host for each sandbox, in an idle
     * guest too: looking for hung processors, for memory to compact, and for counters of memory to add up (seconds).
     */
    private static final String IDLE_ARGUMENTS =
            "nowatchdog sysctl.vm.compaction_proactiveness=0 sysctl.vm.stat_interval=600";

    Path vms() {
        return directories.vms();
    }

    QemuCommand command() {
        return new QemuCommand(config.qemu(), accelerator, forkable());
    }

    /** Whether QEMUs are started so that they can be forked. KVM's descriptors belong to one process. */
    boolean forkable() {
        return config.liveFork() != LiveForkChoice.OFF && accelerator == Accelerator.TCG;
    }

    /**
     * What an image must match. QEMU's stable releases of one minor version load each other's state. Under KVM the
     * guest sees the host's processor; under TCG it does not.
     */
    String fingerprint() {
        String cpu = accelerator == Accelerator.KVM ? "host " + CpuInfo.read().modelName() : accelerator.cpuModel();
        return "%s; qemu %s; cpu %s; devices %d"
                .formatted(accelerator.label(), version.minorRelease(), cpu, QemuCommand.DEVICE_LAYOUT);
    }

    /**
     * Without {@code tsc_early_khz} the kernel calibrates its time stamp counter against emulated timers, which fails
     * on a busy host, and then it waits for ever. TCG passes the host's counter through; KVM tells the frequency by itself.
     */
    String kernelArguments() {
        // TCG finds translated code by its virtual address: with each program at another one at each start, all of it
        // would be translated anew each time. A start of bash takes 15 ms instead of 65.
        String common = "console=ttyS0 quiet reboot=t panic=1 no_timer_check mitigations=off " + IDLE_ARGUMENTS;
        // Huge pages make nothing faster under TCG, and the guest's search for memory to make them of costs each new VM
        // 17 to 29 ms, and memory that it no longer shares with its parent.
        return accelerator == Accelerator.TCG
                ? common + " transparent_hugepage=never norandmaps tsc=reliable tsc_early_khz=" + tscKhz
                : common;
    }
}
