package dev.cube.hypervisor;

import com.sun.nio.file.ExtendedOpenOption;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A file that is written past the page cache, of what a QEMU puts part by part into memory that this process shares with it: the
 * disk writes one part while QEMU fills another, and QEMU never waits for the disk. Not thread-safe.
 */
final class StagedFile implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(StagedFile.class);
    /** One that is being filled while the other is on its way: with two on their way the disk was no faster. */
    private static final int PARTS = 2;

    /** Puts bytes into a file, from a position on. */
    @FunctionalInterface
    interface Filler {
        /** @return how many; whole pages */
        long fill(Path file, long position) throws IOException;
    }

    private final FileChannel channel;
    private final Linux.SharedMemory memory;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment staged;
    private final long partBytes;
    /** The last of each part. */
    private final List<SideTask<Void>> writes = new ArrayList<>(Collections.nCopies(PARTS, SideTask.done(null)));
    private int next;
    private long length;

    private StagedFile(FileChannel channel, Linux.SharedMemory memory, long partBytes) throws IOException {
        this.channel = channel;
        this.memory = memory;
        this.partBytes = partBytes;
        try (FileChannel shared = FileChannel.open(memory.path(), StandardOpenOption.READ)) {
            staged = shared.map(FileChannel.MapMode.READ_ONLY, 0, PARTS * partBytes, arena);
        } catch (IOException | RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Empty where the file system has no writing past the page cache.
     *
     * @param file      is there, and empty
     * @param mostBytes that will be appended in all, for which room is reserved
     * @param partBytes that are filled at once at most; whole pages
     */
    static Optional<StagedFile> open(Path file, long mostBytes, long partBytes) throws IOException {
        FileChannel channel;
        try {
            channel = FileChannel.open(file, StandardOpenOption.WRITE, ExtendedOpenOption.DIRECT);
        } catch (IOException | UnsupportedOperationException e) {
            return Optional.empty();
        }
        Linux.SharedMemory memory = null;
        try {
            reserve(file, mostBytes);
            memory = Linux.SharedMemory.create("cube-staged", PARTS * partBytes);
            return Optional.of(new StagedFile(channel, memory, partBytes));
        } catch (IOException | RuntimeException e) {
            channel.close();
            if (memory != null) {
                memory.close();
            }
            throw e;
        }
    }

    /** Has the file system find all blocks at once, which takes it longer part by part. */
    private static void reserve(Path file, long bytes) throws IOException {
        int fd = Linux.open(file, Linux.O_RDWR | Linux.O_CLOEXEC);
        try {
            Linux.allocate(fd, bytes);
        } catch (Linux.CallException e) {
            // Not every file system can, and where there is too little room for the most there may be enough for what will come.
            LOG.debug("no room was reserved for {}: {}", file, e.getMessage());
        } finally {
            Linux.close(fd);
        }
    }

    /** Appends what is put into the next part, which is on its way to the disk when this returns. */
    void append(Filler filler) throws IOException {
        int part = next;
        next = (next + 1) % PARTS;
        writes.get(part).await();
        long bytes = filler.fill(memory.path(), part * partBytes);
        ByteBuffer filled = staged.asSlice(part * partBytes, bytes).asByteBuffer();
        long position = length;
        length += bytes;
        writes.set(part, SideTask.start(() -> write(filled, position)));
    }

    private Void write(ByteBuffer part, long position) throws IOException {
        for (long at = position; part.hasRemaining();) {
            at += channel.write(part, at);
        }
        return null;
    }

    /** Waits until all is written. What was reserved beyond it is given back. */
    void finish() throws IOException {
        for (SideTask<Void> write : writes) {
            write.await();
        }
        channel.truncate(length);
    }

    @Override
    public void close() throws IOException {
        // The memory must stay until nothing is written from it any more.
        writes.forEach(SideTask::awaitEnd);
        arena.close();
        memory.close();
        channel.close();
    }
}
