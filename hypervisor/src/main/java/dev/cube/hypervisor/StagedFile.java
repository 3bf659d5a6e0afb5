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
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * A file that is written past the page cache, of what a QEMU puts part by part into memory that this process shares with it: the
 * disk writes one part while QEMU fills another, and QEMU never waits for the disk. Not thread-safe.
 */
final class StagedFile implements AutoCloseable {
    /** One that is being filled while the other is on its way: with two on their way the disk was hardly faster. */
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
    private final List<CompletableFuture<Void>> writes =
            new ArrayList<>(Collections.nCopies(PARTS, CompletableFuture.completedFuture(null)));
    private int next;
    private long length;

    private StagedFile(FileChannel channel, Linux.SharedMemory memory, long partBytes) throws IOException {
        this.channel = channel;
        this.memory = memory;
        this.partBytes = partBytes;
        try (FileChannel shared = FileChannel.open(memory.path(), StandardOpenOption.READ)) {
            staged = shared.map(FileChannel.MapMode.READ_ONLY, 0, PARTS * partBytes, arena);
        }
    }

    /**
     * Empty where the file system has no writing past the page cache.
     *
     * @param file      is there, and empty
     * @param partBytes that are filled at once at most; whole pages
     */
    static Optional<StagedFile> open(Path file, long partBytes) throws IOException {
        FileChannel channel;
        try {
            channel = FileChannel.open(file, StandardOpenOption.WRITE, ExtendedOpenOption.DIRECT);
        } catch (IOException | UnsupportedOperationException e) {
            return Optional.empty();
        }
        Linux.SharedMemory memory = null;
        try {
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

    /** Appends what is put into the next part, which is on its way to the disk when this returns. */
    void append(Filler filler) throws IOException {
        int part = next;
        next = (next + 1) % PARTS;
        await(writes.get(part));
        long bytes = filler.fill(memory.path(), part * partBytes);
        ByteBuffer filled = staged.asSlice(part * partBytes, bytes).asByteBuffer();
        long position = length;
        length += bytes;
        writes.set(part, CompletableFuture.runAsync(() -> write(filled, position), Thread::startVirtualThread));
    }

    private void write(ByteBuffer part, long position) {
        try {
            for (long at = position; part.hasRemaining();) {
                at += channel.write(part, at);
            }
        } catch (IOException e) {
            throw new CompletionException(e);
        }
    }

    private static void await(CompletableFuture<Void> write) throws IOException {
        try {
            write.join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof IOException known) {
                throw new IOException(known.getMessage(), known);
            }
            throw e;
        }
    }

    /** Waits until all is written. */
    void finish() throws IOException {
        for (CompletableFuture<Void> write : writes) {
            await(write);
        }
    }

    @Override
    public void close() throws IOException {
        // The memory must stay until nothing is written from it any more.
        writes.forEach(write -> write.handle((done, failure) -> null).join());
        arena.close();
        memory.close();
        channel.close();
    }
}
