package dev.cube.hypervisor;

/** What QEMU runs a guest's processors with. */
enum Accelerator {
    /** Hardware virtualisation. */
    KVM("kvm", "kvm", "host"),
    /**
     * Translation in software. The translated code of a VM is bounded to 64 MiB: when it is full, all of it is thrown
     * away. A guest that loads pandas and matplotlib fills 32 MiB; an idle one hardly touches it. The CPU is the fullest that TCG knows, without five-level page tables, which
     * would only lengthen each walk.
     */
    TCG("tcg", "tcg,thread=multi,tb-size=64", "max,la57=off");

    private final String label;
    private final String qemuOption;
    private final String cpuModel;

    Accelerator(String label, String qemuOption, String cpuModel) {
        this.label = label;
        this.qemuOption = qemuOption;
        this.cpuModel = cpuModel;
    }

    /** In fingerprints and logs. */
    String label() {
        return label;
    }

    /** The value of QEMU's {@code -accel}. */
    String qemuOption() {
        return qemuOption;
    }

    /** The value of QEMU's {@code -cpu}. */
    String cpuModel() {
        return cpuModel;
    }
}
