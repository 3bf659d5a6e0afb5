package dev.cube.hypervisor;

/**
 * One layer of a writable disk.
 *
 * @param file   name within the directory that the list of layers belongs to, or an absolute path
 * @param format QEMU's name of the format: {@code raw} or {@code qcow2}
 */
record DiskFile(String file, String format) {
    static final String RAW = "raw";
    static final String QCOW2 = "qcow2";

    DiskFile {
        if (!format.equals(RAW) && !format.equals(QCOW2)) {
            throw new IllegalArgumentException("unknown disk format " + format);
        }
    }
}
