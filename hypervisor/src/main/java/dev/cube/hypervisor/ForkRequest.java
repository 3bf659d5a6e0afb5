package dev.cube.hypervisor;

import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Optional;

/**
 * What the memory library needs to know to fork its QEMU.
 *
 * @param directory the child's working directory
 * @param host      socket that the child connects to
 * @param files     what becomes of files that the parent has open for writing
 * @param sockets   that the child makes in place of those of its parent with the same file names
 * @param running   empty if the machine is stopped
 */
record ForkRequest(Path directory, Path host, List<File> files, List<Socket> sockets, Optional<Running> running) {
    /** @param to what the child opens in place of {@code from} */
    record File(Path from, Path to) {}

    /**
     * @param path where the child listens
     * @param cut  whether connections have ended in the child; otherwise they are made anew, to {@code host}
     */
    record Socket(Path path, boolean cut) {}

    /**
     * That the QEMU's machine runs, and is to go on in parent and child.
     *
     * @param disk    a file that the child is given a copy of
     * @param written when that file was written to last, and must have been
     */
    record Running(Path disk, FileTime written) {}

    /**
     * Where the child is and how long the parent's steps took, in microseconds.
     *
     * @param pid 0 if there is no child: a running machine wrote to its disk, or was never at rest
     */
    record Outcome(int pid, int threads, int parkMicros, int planMicros, int forkMicros) {}
}
