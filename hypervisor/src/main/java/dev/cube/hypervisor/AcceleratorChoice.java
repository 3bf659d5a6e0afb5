package dev.cube.hypervisor;

import java.util.Locale;

/** What an operator wants QEMU to run guests with. */
public enum AcceleratorChoice {
    /** KVM where a guest really runs under it, else TCG. */
    AUTO,
    KVM,
    TCG;

    /** Parses the value of {@code CUBE_ACCEL}: {@code auto}, {@code kvm} or {@code tcg}; nothing means AUTO. */
    public static AcceleratorChoice parse(String value) {
        if (value == null || value.isBlank()) {
            return AUTO;
        }
        try {
            return valueOf(value.strip().toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw new HypervisorException("CUBE_ACCEL must be auto, kvm or tcg, not \"" + value + "\"", e);
        }
    }
}
