package dev.cube.hypervisor;

import java.util.Optional;
import java.util.Set;

/**
 * The releases that live fork is tested with. It relies on how QEMU's threads wait and on what descriptors it opens, and on
 * glibc's thread block: see docs/hypervisor.md.
 */
final class LiveForkVersions {
    /** Releases up to the minor version; Debian 12 has these. */
    private static final Set<String> QEMU = Set.of("7.2");
    private static final Set<String> LIBC = Set.of("2.36");

    private LiveForkVersions() {}

    /** Why this choice, with these versions, means that VMs are restored. */
    static Optional<String> objection(LiveForkChoice choice, QemuVersion qemu, String libc) {
        if (choice == LiveForkChoice.FORCE || QEMU.contains(qemu.minorRelease()) && LIBC.contains(libc)) {
            return Optional.empty();
        }
        return Optional.of("live fork is tested with QEMU %s and glibc %s, and here are %s and %s; CUBE_LIVE_FORK=force"
                .formatted(String.join(", ", QEMU), String.join(", ", LIBC), qemu.minorRelease(), libc)
                + " forks nevertheless");
    }
}
