package dev.cube.hypervisor;

/** What QEMU runs a guest's processors with. */
enum Accelerator {
    /** Hardware virtualisation. */
    KVM("kvm", "kvm", "host"),
    /**
     * Translation in software. The translated code of a VM is bounded to 32 MiB, which a guest fills in minutes of varied
     * work and an idle one hardly touches. The CPU is the fullest that TCG knows, without five-level page tables, which
     * would only lengthen each walk.
     */
    TCG("tcg", "tcg,thread=multi,tb-size=32", "max,la57=off");

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
