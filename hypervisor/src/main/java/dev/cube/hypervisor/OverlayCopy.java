package dev.cube.hypervisor;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A copy of a small overlay, which takes no room where that has zeros. Most of it can be copied while a VM still writes to the
 * overlay, so that little is left to do while the VM stands still. For one thread only.
 */
final class OverlayCopy implements AutoCloseable {
    /** What is compared, and what a hole is made of: a page of the page cache. In bytes. */
    private static final int BLOCK = 4096;
    /** A larger overlay is not copied: who writes so much meanwhile is no guest. */
    private static final long MOST_BYTES = 64 << 20;

    private final Arena arena = Arena.ofConfined();
    private final Path source;
    private final FileChannel from;
    private final FileChannel to;
    /** Content of the copy, and what the overlay's is read into. Of the same size, a multiple of a block's, zero behind the content. */
    private ByteBuffer copied = ByteBuffer.allocate(0);
    private ByteBuffer read = ByteBuffer.allocate(0);

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
        int size = readAll();
        for (int at = 0; at < size; at += BLOCK) {
            int begin = at;
            while (at < size && !read.slice(at, BLOCK).equals(copied.slice(at, BLOCK))) {
                at += BLOCK;
            }
            if (at > begin) {
                write(begin, Math.min(at, size));
            }
        }
        if (to.size() < size) {
            write(size - 1, size);
        }
        ByteBuffer content = read;
        read = copied;
        copied = content;
    }

    private int readAll() throws IOException {
        long size = from.size();
        if (size > MOST_BYTES) {
            throw new IOException("%s is too large to be copied: %d bytes".formatted(source, size));
        }
        if (size > read.capacity()) {
            long capacity = (size + BLOCK - 1) / BLOCK * BLOCK;
            copied = arena.allocate(capacity).asByteBuffer().put(copied.clear());
            read = arena.allocate(capacity).asByteBuffer();
        }
        read.limit((int) size);
        int at = 0;
        for (int count = 0; count >= 0 && at < size; at += Math.max(count, 0)) {
            count = from.read(read.position(at), at);
        }
        read.clear();
        return at;
    }

    private void write(int begin, int end) throws IOException {
        for (int at = begin; at < end;) {
            at += to.write(read.slice(at, end - at), at);
        }
    }

    @Override
    public void close() throws IOException {
        arena.close();
        from.close();
        to.close();
    }
}
