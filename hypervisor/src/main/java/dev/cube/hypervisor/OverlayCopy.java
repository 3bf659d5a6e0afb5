package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/**
 * A copy of a small overlay, which takes no room where that has zeros. Most of it can be copied while a VM still writes to the
 * overlay, so that little is left to do while the VM stands still. For one thread only.
 */
final class OverlayCopy implements AutoCloseable {
    /** What is compared, in bytes. */
    private static final int BLOCK = SparseFile.BLOCK;
    /** A larger overlay is not copied: who writes so much meanwhile is no guest. */
    private static final long MOST_BYTES = 64 << 20;

    /** Memory is used again, since a page that is new to a process costs more than to fill it. */
    private static final BlockingQueue<Buffers> SPARE = new ArrayBlockingQueue<>(2);
    private static final int MOST_SPARE_BYTES = 2 << 20;
    private static final int BUFFER_STEP = 1 << 20;
    /** A file system's clock has steps of some milliseconds: a later write to what was written longer ago is sure to show. */
    private static final long SETTLED_MILLIS = 100;

    private final Path source;
    private final FileChannel from;
    private final FileChannel to;
    private Buffers buffers = Objects.requireNonNullElse(SPARE.poll(), Buffers.NONE);
    /** How much of the copy's content is in the buffer; the rest of the copy has not been written to. */
    private int copiedBytes;
    /** When the overlay was last written to, if no write since can have gone unnoticed. */
    private Optional<FileTime> settled = Optional.empty();

    /**
     * Of the same size, a multiple of a block's.
     *
     * @param copied content of the copy
     * @param read   what the overlay's is read into
     */
    private record Buffers(ByteBuffer copied, ByteBuffer read) {
        static final Buffers NONE = new Buffers(ByteBuffer.allocate(0), ByteBuffer.allocate(0));

        Buffers large(int bytes) {
            if (bytes <= read.capacity()) {
                return this;
            }
            int capacity = (bytes + BUFFER_STEP - 1) / BUFFER_STEP * BUFFER_STEP;
            return new Buffers(ByteBuffer.allocateDirect(capacity).put(copied.clear()), ByteBuffer.allocateDirect(capacity));
        }

        Buffers swapped() {
            return new Buffers(read, copied);
        }
    }

    /** @param to is made, and empty until there is an {@link #update} */
    OverlayCopy(Path from, Path to) throws IOException {
        this.source = from;
        this.from = FileChannel.open(from, StandardOpenOption.READ);
        try {
            this.to = FileChannel.open(to, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW);
        } catch (IOException e) {
            this.from.close();
            throw e;
        }
    }

    /** Has the copy be what the overlay is; it is of no use where the overlay is written to meanwhile, until this is called again. */
    void update() throws IOException {
        FileTime modified = Files.getLastModifiedTime(source);
        if (settled.filter(modified::equals).isPresent()) {
            return;
        }
        settled = Optional.of(modified).filter(OverlayCopy::isSettled);
        int size = readAll();
        for (int at = 0; at < size; at += BLOCK) {
            int begin = at;
            while (at < size && !isCopied(at)) {
                at += BLOCK;
            }
            if (at > begin) {
                write(begin, Math.min(at, size));
            }
        }
        if (to.size() < size) {
            write(size - 1, size);
        }
        buffers = buffers.swapped();
        copiedBytes = size;
    }

    /** When an overlay was last written to, if that is so long ago that any later write would change it. */
    static Optional<FileTime> settled(Path overlay) throws IOException {
        return Optional.of(Files.getLastModifiedTime(overlay)).filter(OverlayCopy::isSettled);
    }

    private static boolean isSettled(FileTime modified) {
        return System.currentTimeMillis() - modified.toMillis() > SETTLED_MILLIS;
    }

    /** Whether this is a copy of what the overlay has been since it was written to then. */
    boolean isOf(FileTime written) throws IOException {
        return settled.filter(written::equals).isPresent() && Files.getLastModifiedTime(source).equals(written);
    }

    private boolean isCopied(int at) {
        return buffers.read.slice(at, BLOCK).equals(at < copiedBytes ? buffers.copied.slice(at, BLOCK) : SparseFile.ZEROS);
    }

    private int readAll() throws IOException {
        long size = from.size();
        if (size > MOST_BYTES) {
            throw new IOException("%s is too large to be copied: %d bytes".formatted(source, size));
        }
        buffers = buffers.large((int) size);
        ByteBuffer read = buffers.read.clear().limit((int) size);
        int at = 0;
        for (int count = 0; count >= 0 && at < size; at += Math.max(count, 0)) {
            count = from.read(read.position(at), at);
        }
        int end = (at + BLOCK - 1) / BLOCK * BLOCK;
        read.clear().put(at, SparseFile.ZEROS, 0, end - at);
        return at;
    }

    private void write(int begin, int end) throws IOException {
        for (int at = begin; at < end;) {
            at += to.write(buffers.read.slice(at, end - at), at);
        }
    }

    @Override
    public void close() throws IOException {
        if (buffers.read.capacity() <= MOST_SPARE_BYTES) {
            SPARE.offer(buffers);
        }
        buffers = Buffers.NONE;
        from.close();
        to.close();
    }
}
