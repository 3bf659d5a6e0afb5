package dev.cube.hypervisor;

import java.util.Locale;

/** Whether VMs are forked from warm parents where the accelerator allows it. */
public enum LiveForkChoice {
    /** With versions of QEMU and glibc that it is tested with. */
    ON,
    OFF,
    /** With any versions. What can be checked is checked all the same. */
    FORCE;

    /** Parses the value of {@code CUBE_LIVE_FORK}: {@code on}, {@code off} or {@code force}; nothing means ON. */
    public static LiveForkChoice parse(String value) {
        if (value == null || value.isBlank()) {
            return ON;
        }
        try {
            return valueOf(value.strip().toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw new HypervisorException("CUBE_LIVE_FORK must be on, off or force, not \"" + value + "\"", e);
        }
    }
}
