package dev.cube.hypervisor;

import java.nio.file.Path;

/**
 * A cold boot.
 *
 * @param shape        the VM's shape
 * @param baseDisk     raw read-only filesystem image, the guest's {@code /dev/vda}
 * @param writableDisk raw formatted filesystem image, the guest's {@code /dev/vdb}; it is never written, only
 *                     overlaid
 */
public record BootSpec(VmShape shape, Path baseDisk, Path writableDisk) {}
