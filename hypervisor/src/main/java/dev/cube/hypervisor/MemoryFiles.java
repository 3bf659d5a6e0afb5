package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/** Makes files of guest memory, and finds out what is in them. */
final class MemoryFiles {
    private static final int COPY_BYTES = 1 << 20;
    /** Holes that are smaller stay part of an extent: a mapping fewer for each VM is worth more. */
    private static final long SMALLEST_HOLE = 256 * 1024;
    /** The same where each mapping is paid for in every fork. */
    private static final long SMALLEST_HOLE_OF_FLAT_FILE = 4 << 20;

    private MemoryFiles() {}

    private static void drain(ByteBuffer buffer, FileChannel out) throws IOException {
        buffer.flip();
        while (buffer.hasRemaining()) {
            out.write(buffer);
        }
        buffer.clear();
    }

    /**
     * Writes the whole content of a guest's memory into one new sparse file, whose offsets are the guest's.
     *
     * @param map   what the memory is a private mapping of, its files relative to {@code directory}
     * @param dirty the pages that differ from that
     */
    static MemoryMap flatten(Path directory, MemoryMap map, long pid, long base, List<PageRun> dirty, Path file,
            long size) throws IOException {
        try (ProcessMemory memory = ProcessMemory.open(pid);
                FileChannel out = FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            for (Extent extent : map.extents()) {
                try (FileChannel in = FileChannel.open(directory.resolve(map.files().get(extent.file())))) {
                    copyRange(in, extent.fileOffset(), extent.length(), out.position(extent.guestOffset()));
                }
            }
            ByteBuffer buffer = ByteBuffer.allocateDirect(COPY_BYTES);
            for (PageRun run : dirty) {
                out.position(run.offset());
                for (long at = run.offset(); at < run.end(); at += COPY_BYTES) {
                    memory.read(base + at, buffer.limit((int) Math.min(COPY_BYTES, run.end() - at)));
                    drain(buffer, out);
                }
            }
        }
        return ofSparseFile(file, file.getFileName().toString(), size, SMALLEST_HOLE_OF_FLAT_FILE);
    }

    private static void copyRange(FileChannel in, long from, long length, FileChannel out) throws IOException {
        for (long done = 0; done < length;) {
            long copied = in.transferTo(from + done, length - done, out);
            if (copied <= 0) {
                throw new IOException("a memory file is shorter than its extents say");
            }
            done += copied;
        }
    }

    /** The data of a sparse memory file, whose offsets are the guest's. */
    static MemoryMap ofSparseFile(Path file, String name, long size) throws IOException {
        return ofSparseFile(file, name, size, SMALLEST_HOLE);
    }

    private static MemoryMap ofSparseFile(Path file, String name, long size, long smallestHole) throws IOException {
        int fd = Linux.open(file, Linux.O_RDONLY | Linux.O_CLOEXEC);
        try {
            List<PageRun> runs = new ArrayList<>();
            for (long at = 0; at < size;) {
                long data;
                try {
                    data = Linux.seek(fd, at, Linux.SEEK_DATA);
                } catch (Linux.CallException e) {
                    if (e.errno() == Linux.ENXIO) {
                        break; // no data from here to the end
                    }
                    throw e;
                }
                long from = data / Extent.PAGE * Extent.PAGE;
                long hole = Math.min(Linux.seek(fd, data, Linux.SEEK_HOLE), size);
                long to = Math.min((hole + Extent.PAGE - 1) / Extent.PAGE * Extent.PAGE, size);
                if (!runs.isEmpty() && from - runs.getLast().end() < smallestHole) {
                    from = runs.removeLast().offset();
                }
                runs.add(new PageRun(from, to - from));
                at = to;
            }
            List<Extent> extents = runs.stream()
                    .map(run -> new Extent(run.offset(), run.length(), 0, run.offset()))
                    .toList();
            return new MemoryMap(List.of(name), extents);
        } finally {
            Linux.close(fd);
        }
    }
}
