package dev.cube.hypervisor;

/** Consecutive pages of guest memory; offset and length in bytes. */
record PageRun(long guestOffset, long length) {
    long end() {
        return guestOffset + length;
    }
}
