package dev.cube.hypervisor;

import java.nio.file.Path;
import java.util.List;

/**
 * What the memory library needs to know to fork its QEMU.
 *
 * @param directory the child's working directory, where its own sockets are made
 * @param host      socket that the child connects to
 * @param files     what becomes of files that the parent has open for writing
 * @param sockets   the parent's sockets, which the child gets anew
 */
record ForkRequest(Path directory, Path host, List<File> files, List<Socket> sockets) {
    /** @param to what the child opens in place of {@code from} */
    record File(Path from, Path to) {}

    /**
     * @param name of the file
     * @param cut  whether connections have ended in the child; otherwise they are made anew, to {@code host}
     */
    record Socket(String name, boolean cut) {}

    /** Where the child is and how long the parent's steps took, in microseconds. */
    record Outcome(int pid, int threads, int parkMicros, int planMicros, int forkMicros) {}
}
