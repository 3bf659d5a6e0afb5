package dev.cube.hypervisor;

import java.util.List;
import java.util.Objects;

/**
 * {@code manifest.json} of an image. Names of files are relative to the image's directory, which holds hard links to
 * everything that the image needs and so can be moved, and outlives its ancestors; where no hard link was possible, they
 * are absolute.
 *
 * @param format       version of this format
 * @param machine      fingerprint of the machine that wrote it
 * @param tscKhz       frequency of the time stamp counter that the guest reckons with
 * @param deviceState  QEMU's migration stream, without guest memory
 * @param baseDisk     raw, read-only
 * @param writableDisk layers of the writable disk, the lowest first, all frozen
 */
record ImageManifest(int format, String machine, long tscKhz, int vcpus, int memoryMib, String deviceState,
        String baseDisk, List<DiskFile> writableDisk, MemoryMap memory) {
    static final int FORMAT = 1;
    static final String FILE = "manifest.json";
    static final String DEVICE_STATE = "device-state";
    /** Names of the files that every image has one of at most. */
    static final String BASE_DISK = "base-disk";
    static final String WRITABLE_DISK = "writable-disk";

    ImageManifest {
        if (format != FORMAT) {
            throw new IllegalArgumentException("format " + format + " is not known to this release, which has " + FORMAT);
        }
        Objects.requireNonNull(machine, "machine");
        Objects.requireNonNull(deviceState, "deviceState");
        Objects.requireNonNull(baseDisk, "baseDisk");
        writableDisk = List.copyOf(writableDisk);
        if (writableDisk.isEmpty()) {
            throw new IllegalArgumentException("no writable disk");
        }
        if (memory.end() > new VmShape(vcpus, memoryMib).memoryBytes()) {
            throw new IllegalArgumentException("extents beyond the end of memory");
        }
    }

    ImageManifest withMemory(MemoryMap other) {
        return new ImageManifest(format, machine, tscKhz, vcpus, memoryMib, deviceState, baseDisk, writableDisk, other);
    }

    ImageManifest withWritableDisk(List<DiskFile> other) {
        return new ImageManifest(format, machine, tscKhz, vcpus, memoryMib, deviceState, baseDisk, other, memory);
    }

    VmShape shape() {
        return new VmShape(vcpus, memoryMib);
    }

    /** Otherwise it is an image of disks only. A guest that has run has written to its memory. */
    boolean holdsMemory() {
        return !memory.extents().isEmpty();
    }
}
