package dev.cube.hypervisor;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.function.LongPredicate;

/**
 * What the kernel tells of each page of a process: {@code /proc/PID/pagemap}, see the kernel's
 * {@code admin-guide/mm/pagemap.rst}.
 */
final class PageMap implements AutoCloseable {
    static final long PRESENT = 1L << 63;
    static final long SWAPPED = 1L << 62;
    static final long FILE_OR_SHARED = 1L << 61;
    /** No other process maps the page. */
    static final long EXCLUSIVE = 1L << 56;
    /** Number of the page frame, or type and offset in swap; zeros for who is not the superuser. */
    static final long PLACE = (1L << 55) - 1;

    private static final int CHUNK_PAGES = 1 << 15;

    private final FileChannel channel;

    private PageMap(FileChannel channel) {
        this.channel = channel;
    }

    static PageMap open(long pid) throws IOException {
        return new PageMap(FileChannel.open(path(pid), StandardOpenOption.READ));
    }

    static Path path(long pid) {
        return Path.of("/proc/" + pid + "/pagemap");
    }

    /** An entry for each page from an address on. */
    long[] entries(long address, int pages) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(pages * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        long position = address / Extent.PAGE * Long.BYTES;
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, position + buffer.position()) < 0) {
                throw new EOFException("a page map ended early");
            }
        }
        long[] result = new long[pages];
        buffer.flip().asLongBuffer().get(result);
        return result;
    }

    /**
     * Adds those pages of a range whose entries are wanted.
     *
     * @param base where the range's offset, and those of {@code runs}, count from
     */
    void collect(long base, PageRun range, LongPredicate wanted, List<PageRun> runs) throws IOException {
        for (long offset = range.offset(); offset < range.end();) {
            int pages = (int) Math.min(CHUNK_PAGES, (range.end() - offset) / Extent.PAGE);
            for (long entry : entries(base + offset, pages)) {
                if (wanted.test(entry)) {
                    PageRun.append(runs, offset, Extent.PAGE);
                }
                offset += Extent.PAGE;
            }
        }
    }

    static boolean isAnonymous(long entry) {
        return (entry & (PRESENT | SWAPPED)) != 0 && (entry & FILE_OR_SHARED) == 0;
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
