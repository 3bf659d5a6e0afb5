package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Finds out which pages of two stopped processes of one family, parent and child or siblings by fork, are the same: those
 * that neither has written since they parted are the same page of the machine's memory ({@link PageMap}). Where the kernel
 * does not tell a page's number, which it tells the superuser only, contents are compared.
 */
final class SharedPages {
    private static final int CHUNK_PAGES = 4096;
    private static final int COMPARE_PAGES = 256;
    private static final int PAGE_BYTES = (int) Extent.PAGE;

    private SharedPages() {}

    /** Those of the pages that are not the same in both processes. */
    static List<PageRun> without(List<PageRun> runs, long pid, long former, long base) throws IOException {
        List<PageRun> result = new ArrayList<>();
        try (PageMap map = PageMap.open(pid); PageMap formerMap = PageMap.open(former);
                ProcessMemory memory = ProcessMemory.open(pid); ProcessMemory formerMemory = ProcessMemory.open(former)) {
            boolean placesKnown = !runs.isEmpty() && isPlaceKnown(map, base + runs.getFirst().offset());
            Comparison comparison = placesKnown ? new ByPlace(map, formerMap) : new ByContent(memory, formerMemory);
            int most = placesKnown ? CHUNK_PAGES : COMPARE_PAGES;
            for (PageRun run : runs) {
                for (long at = run.offset(); at < run.end();) {
                    int pages = (int) Math.min(most, (run.end() - at) / Extent.PAGE);
                    boolean[] same = comparison.compare(base + at, pages);
                    for (int i = 0; i < pages; i++, at += Extent.PAGE) {
                        if (!same[i]) {
                            PageRun.append(result, at, Extent.PAGE);
                        }
                    }
                }
            }
        }
        return result;
    }

    private static boolean isPlaceKnown(PageMap map, long address) throws IOException {
        return (map.entries(address, 1)[0] & PageMap.PLACE) != 0;
    }

    private interface Comparison {
        boolean[] compare(long address, int pages) throws IOException;
    }

    private record ByPlace(PageMap map, PageMap former) implements Comparison {
        @Override
        public boolean[] compare(long address, int pages) throws IOException {
            long[] before = former.entries(address, pages);
            long[] now = map.entries(address, pages);
            // The kernel may move a page between two looks, and put another into its place.
            long[] after = former.entries(address, pages);
            boolean[] same = new boolean[pages];
            for (int i = 0; i < pages; i++) {
                same[i] = before[i] == after[i] && isSame(now[i], before[i]);
            }
            return same;
        }

        private static boolean isSame(long one, long other) {
            long kind = PageMap.PRESENT | PageMap.SWAPPED | PageMap.FILE_OR_SHARED;
            return PageMap.isAnonymous(one) && (one & kind) == (other & kind)
                    && (one & PageMap.PLACE) != 0 && (one & PageMap.PLACE) == (other & PageMap.PLACE);
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
