package dev.cube.hypervisor;

import java.nio.file.Path;
import java.util.List;

/**
 * What the memory library needs to know to fork its QEMU.
 *
 * @param directory the child's working directory
 * @param host      socket that the child connects to
 * @param files     what becomes of files that the parent has open for writing
 * @param sockets   that the child makes in place of those of its parent with the same file names
 */
record ForkRequest(Path directory, Path host, List<File> files, List<Socket> sockets) {
    /** @param to what the child opens in place of {@code from} */
    record File(Path from, Path to) {}

    /**
     * @param path where the child listens
     * @param cut  whether connections have ended in the child; otherwise they are made anew, to {@code host}
     */
    record Socket(Path path, boolean cut) {}

    /** Where the child is and how long the parent's steps took, in microseconds. */
    record Outcome(int pid, int threads, int parkMicros, int planMicros, int forkMicros) {}
}
