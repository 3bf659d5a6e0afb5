package dev.cube.hypervisor;

/** What QEMU runs a guest's processors with. */
enum Accelerator {
    /** Hardware virtualisation. */
    KVM("kvm", "kvm", "host"),
    /**
     * Translation in software. The translated code of a VM is bounded to 256 MiB: when it is full, all of it is thrown away, also what
     * was inherited from a parent. A warm parent of the default image has translated 60 MB, which its children share. The CPU is the
     * fullest that TCG knows, without five-level page tables, which would only lengthen each walk.
     */
    TCG("tcg", "tcg,thread=multi,tb-size=256", "max,la57=off");

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
