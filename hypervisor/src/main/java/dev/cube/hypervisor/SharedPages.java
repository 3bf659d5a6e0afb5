package dev.cube.hypervisor;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Finds out which pages of two stopped processes of one family, parent and child or siblings by fork, are the same: those
 * that neither has written since they parted are the same page of the machine's memory ({@code /proc/PID/pagemap}, see the
 * kernel's {@code admin-guide/mm/pagemap.rst}). Where the kernel does not tell a page's number, which it tells the
 * superuser only, contents are compared.
 */
final class SharedPages {
    private static final long PRESENT = 1L << 63;
    private static final long SWAPPED = 1L << 62;
    private static final long FILE_OR_SHARED = 1L << 61;
    /** Number of the page frame, or type and offset in swap. */
    private static final long PLACE = (1L << 55) - 1;
    private static final int CHUNK_PAGES = 4096;
    private static final int COMPARE_PAGES = 256;
    private static final int PAGE_BYTES = (int) Extent.PAGE;

    private SharedPages() {}

    /** Those of the pages that are not the same in both processes. */
    static List<PageRun> without(List<PageRun> runs, long pid, long former, long base) throws IOException {
        List<PageRun> result = new ArrayList<>();
        try (FileChannel map = open(pid); FileChannel formerMap = open(former);
                ProcessMemory memory = ProcessMemory.open(pid); ProcessMemory formerMemory = ProcessMemory.open(former)) {
            boolean placesKnown = !runs.isEmpty() && isPlaceKnown(map, base + runs.getFirst().guestOffset());
            Comparison comparison = placesKnown ? new ByPlace(map, formerMap) : new ByContent(memory, formerMemory);
            int most = placesKnown ? CHUNK_PAGES : COMPARE_PAGES;
            for (PageRun run : runs) {
                for (long at = run.guestOffset(); at < run.end();) {
                    int pages = (int) Math.min(most, (run.end() - at) / Extent.PAGE);
                    boolean[] same = comparison.compare(base + at, pages);
                    for (int i = 0; i < pages; i++, at += Extent.PAGE) {
                        if (!same[i]) {
                            add(result, at);
                        }
                    }
                }
            }
        }
        return result;
    }

    private static void add(List<PageRun> runs, long offset) {
        if (!runs.isEmpty() && runs.getLast().end() == offset) {
            PageRun last = runs.removeLast();
            runs.add(new PageRun(last.guestOffset(), last.length() + Extent.PAGE));
        } else {
            runs.add(new PageRun(offset, Extent.PAGE));
        }
    }

    private static FileChannel open(long pid) throws IOException {
        return FileChannel.open(Path.of("/proc/" + pid + "/pagemap"), StandardOpenOption.READ);
    }

    private static boolean isPlaceKnown(FileChannel map, long address) throws IOException {
        return (entries(map, address, 1)[0] & PLACE) != 0;
    }

    private static long[] entries(FileChannel map, long address, int pages) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(pages * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        long position = address / Extent.PAGE * Long.BYTES;
        while (buffer.hasRemaining()) {
            if (map.read(buffer, position + buffer.position()) < 0) {
                throw new EOFException("a page map ended early");
            }
        }
        long[] result = new long[pages];
        buffer.flip().asLongBuffer().get(result);
        return result;
    }

    private interface Comparison {
        boolean[] compare(long address, int pages) throws IOException;
    }

    private record ByPlace(FileChannel map, FileChannel former) implements Comparison {
        @Override
        public boolean[] compare(long address, int pages) throws IOException {
            long[] before = entries(former, address, pages);
            long[] now = entries(map, address, pages);
            // The kernel may move a page between two looks, and put another into its place.
            long[] after = entries(former, address, pages);
            boolean[] same = new boolean[pages];
            for (int i = 0; i < pages; i++) {
                same[i] = before[i] == after[i] && isSame(now[i], before[i]);
            }
            return same;
        }

        private static boolean isSame(long one, long other) {
            long kind = PRESENT | SWAPPED | FILE_OR_SHARED;
            boolean anonymous = (one & (PRESENT | SWAPPED)) != 0 && (one & FILE_OR_SHARED) == 0;
            return anonymous && (one & kind) == (other & kind) && (one & PLACE) != 0 && (one & PLACE) == (other & PLACE);
        }
    }

    private record ByContent(ProcessMemory memory, ProcessMemory former, ByteBuffer one, ByteBuffer other)
            implements Comparison {
        ByContent(ProcessMemory memory, ProcessMemory former) {
            this(memory, former, ByteBuffer.allocateDirect(COMPARE_PAGES * PAGE_BYTES),
                    ByteBuffer.allocateDirect(COMPARE_PAGES * PAGE_BYTES));
        }

        @Override
        public boolean[] compare(long address, int pages) throws IOException {
            memory.read(address, one.clear().limit(pages * PAGE_BYTES));
            former.read(address, other.clear().limit(pages * PAGE_BYTES));
            boolean[] same = new boolean[pages];
            for (int i = 0; i < pages; i++) {
                same[i] = one.slice(i * PAGE_BYTES, PAGE_BYTES).equals(other.slice(i * PAGE_BYTES, PAGE_BYTES));
            }
            return same;
        }
    }
}
