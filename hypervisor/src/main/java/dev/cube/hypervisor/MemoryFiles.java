package dev.cube.hypervisor;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/** Makes files of guest memory, and finds out what is in them. */
final class MemoryFiles {
    private static final int COPY_BYTES = 1 << 20;
    /** Runs copied with one system call; the kernel's limit ({@code UIO_MAXIOV}) is 1024. */
    private static final int COPY_RUNS = 512;
    private static final int IOVEC_BYTES = 16;
    /** Holes that are smaller stay part of an extent: a mapping fewer for each VM is worth more. */
    private static final long SMALLEST_HOLE = 256 * 1024;
    /** The same where each mapping is paid for in every fork. */
    private static final long SMALLEST_HOLE_OF_FLAT_FILE = 4 << 20;

    private MemoryFiles() {}

    /**
     * Copies pages of a process into a new file, one after the other, through a buffer that stays in the processor's cache.
     *
     * @return where they are now; file 0 of the map is {@code name}
     */
    static MemoryMap copy(long pid, long base, List<PageRun> runs, Path file, String name) throws IOException {
        List<Extent> extents = new ArrayList<>(runs.size());
        long offset = 0;
        for (PageRun run : runs) {
            extents.add(new Extent(run.guestOffset(), run.length(), 0, offset));
            offset += run.length();
        }
        try (Arena arena = Arena.ofConfined();
                FileChannel out = FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            MemorySegment buffer = arena.allocate(COPY_BYTES, Extent.PAGE);
            MemorySegment local = arena.allocate(IOVEC_BYTES, Long.BYTES);
            MemorySegment remote = arena.allocate((long) IOVEC_BYTES * COPY_RUNS, Long.BYTES);
            ByteBuffer bytes = buffer.asByteBuffer();
            int run = 0;
            long done = 0; // bytes of this run
            while (run < runs.size()) {
                int count = 0;
                long total = 0;
                while (run < runs.size() && count < COPY_RUNS && total < COPY_BYTES) {
                    PageRun next = runs.get(run);
                    long length = Math.min(next.length() - done, COPY_BYTES - total);
                    remote.setAtIndex(ValueLayout.JAVA_LONG, count * 2L, base + next.guestOffset() + done);
                    remote.setAtIndex(ValueLayout.JAVA_LONG, count * 2L + 1, length);
                    count++;
                    total += length;
                    done += length;
                    if (done == next.length()) {
                        run++;
                        done = 0;
                    }
                }
                local.setAtIndex(ValueLayout.JAVA_LONG, 0, buffer.address());
                local.setAtIndex(ValueLayout.JAVA_LONG, 1, total);
                long read = Linux.readProcessMemory(pid, local, 1, remote, count);
                if (read != total) {
                    throw new IOException("only %d of %d bytes of process %d could be read".formatted(read, total, pid));
                }
                bytes.clear().limit((int) total);
                while (bytes.hasRemaining()) {
                    out.write(bytes);
                }
            }
        }
        return new MemoryMap(List.of(name), extents);
    }

    /**
     * Writes the whole content of a guest's memory into one new sparse file, whose offsets are the guest's.
     *
     * @param map   what the memory is a private mapping of, its files relative to {@code directory}
     * @param dirty the pages that differ from that
     */
    static MemoryMap flatten(Path directory, MemoryMap map, long pid, long base, List<PageRun> dirty, Path file,
            long size) throws IOException {
        try (Arena arena = Arena.ofConfined();
                FileChannel out = FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            for (Extent extent : map.extents()) {
                try (FileChannel in = FileChannel.open(directory.resolve(map.files().get(extent.file())))) {
                    copyRange(in, extent.fileOffset(), extent.length(), out.position(extent.guestOffset()));
                }
            }
            MemorySegment buffer = arena.allocate(COPY_BYTES, Extent.PAGE);
            MemorySegment local = arena.allocate(IOVEC_BYTES, Long.BYTES);
            MemorySegment remote = arena.allocate(IOVEC_BYTES, Long.BYTES);
            ByteBuffer bytes = buffer.asByteBuffer();
            for (PageRun run : dirty) {
                for (long at = run.guestOffset(); at < run.end(); at += COPY_BYTES) {
                    int length = (int) Math.min(COPY_BYTES, run.end() - at);
                    local.setAtIndex(ValueLayout.JAVA_LONG, 0, buffer.address());
                    local.setAtIndex(ValueLayout.JAVA_LONG, 1, length);
                    remote.setAtIndex(ValueLayout.JAVA_LONG, 0, base + at);
                    remote.setAtIndex(ValueLayout.JAVA_LONG, 1, length);
                    if (Linux.readProcessMemory(pid, local, 1, remote, 1) != length) {
                        throw new IOException("the memory of process " + pid + " could not be read");
                    }
                    bytes.clear().limit(length);
                    out.position(at);
                    while (bytes.hasRemaining()) {
                        out.write(bytes);
                    }
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
                    from = runs.removeLast().guestOffset();
                }
                runs.add(new PageRun(from, to - from));
                at = to;
            }
            List<Extent> extents = runs.stream()
                    .map(run -> new Extent(run.guestOffset(), run.length(), 0, run.guestOffset()))
                    .toList();
            return new MemoryMap(List.of(name), extents);
        } finally {
            Linux.close(fd);
        }
    }
}
