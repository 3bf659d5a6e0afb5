package dev.cube.hypervisor;

/**
 * What a VM is made of: virtual processors and memory. VMs of one shape are interchangeable until they are given an
 * image.
 *
 * @param vcpus     1 to 8
 * @param memoryMib 128 MiB to 32 GiB, in MiB
 */
public record VmShape(int vcpus, int memoryMib) {
    public static final int MIN_VCPUS = 1;
    public static final int MAX_VCPUS = 8;
    public static final int MIN_MEMORY_MIB = 128;
    public static final int MAX_MEMORY_MIB = 32 * 1024;

    /** Two vCPUs and 2 GiB. */
    public static final VmShape DEFAULT = new VmShape(2, 2048);

    public VmShape {
        if (vcpus < MIN_VCPUS || vcpus > MAX_VCPUS) {
            throw new IllegalArgumentException(
                    "vcpus must be %d to %d, not %d".formatted(MIN_VCPUS, MAX_VCPUS, vcpus));
        }
        if (memoryMib < MIN_MEMORY_MIB || memoryMib > MAX_MEMORY_MIB) {
            throw new IllegalArgumentException(
                    "memory must be %d to %d MiB, not %d".formatted(MIN_MEMORY_MIB, MAX_MEMORY_MIB, memoryMib));
        }
    }

    public long memoryBytes() {
        return (long) memoryMib << 20;
    }
}
