package dev.cube.hypervisor;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * Finds the dirty pages of a guest whose memory is a private mapping of image files: those that are anonymous, in memory
 * or swapped. A page that was only read is still the file's, or the kernel's page of zeros.
 */
final class DirtyPages {
    /** {@code PAGEMAP_SCAN} of {@code linux/fs.h}: {@code _IOWR('f', 16, struct pm_scan_arg)}. Linux 6.7 and later. */
    private static final long PAGEMAP_SCAN = 0xc0606610L;
    private static final long PAGE_IS_FILE = 1 << 2;
    private static final long PAGE_IS_PRESENT = 1 << 3;
    private static final long PAGE_IS_SWAPPED = 1 << 4;
    private static final long PAGE_IS_PFNZERO = 1 << 5;
    private static final StructLayout SCAN_ARGUMENT = MemoryLayout.structLayout(
            ValueLayout.JAVA_LONG.withName("size"),
            ValueLayout.JAVA_LONG.withName("flags"),
            ValueLayout.JAVA_LONG.withName("start"),
            ValueLayout.JAVA_LONG.withName("end"),
            ValueLayout.JAVA_LONG.withName("walk_end"),
            ValueLayout.JAVA_LONG.withName("vec"),
            ValueLayout.JAVA_LONG.withName("vec_len"),
            ValueLayout.JAVA_LONG.withName("max_pages"),
            ValueLayout.JAVA_LONG.withName("category_inverted"),
            ValueLayout.JAVA_LONG.withName("category_mask"),
            ValueLayout.JAVA_LONG.withName("category_anyof_mask"),
            ValueLayout.JAVA_LONG.withName("return_mask"));
    /** {@code struct page_region}: start, end, categories. */
    private static final int REGION_LONGS = 3;
    private static final int REGIONS = 4096;

    private DirtyPages() {}

    /**
     * @param base where guest memory lies in the process
     * @return in order of address, adjacent runs merged
     */
    static List<PageRun> of(long pid, long base, long size) throws IOException {
        try {
            return scan(pid, base, size);
        } catch (Linux.CallException e) {
            if (e.errno() != Linux.ENOTTY) {
                throw e;
            }
            return readPagemap(pid, base, size);
        }
    }

    static List<PageRun> scan(long pid, long base, long size) throws IOException {
        int pagemap = Linux.open(PageMap.path(pid), Linux.O_RDONLY | Linux.O_CLOEXEC);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment regions = arena.allocate((long) REGIONS * REGION_LONGS * Long.BYTES, Long.BYTES);
            MemorySegment argument = arena.allocate(SCAN_ARGUMENT);
            List<PageRun> runs = new ArrayList<>();
            long end = base + size;
            for (long start = base; start < end;) {
                long[] values = {SCAN_ARGUMENT.byteSize(), 0, start, end, 0, regions.address(), REGIONS, 0,
                    PAGE_IS_FILE | PAGE_IS_PFNZERO, PAGE_IS_FILE | PAGE_IS_PFNZERO,
                    PAGE_IS_PRESENT | PAGE_IS_SWAPPED, PAGE_IS_PRESENT | PAGE_IS_SWAPPED};
                MemorySegment.copy(values, 0, argument, ValueLayout.JAVA_LONG, 0, values.length);
                int found = Linux.ioctl(pagemap, PAGEMAP_SCAN, argument);
                for (int i = 0; i < found; i++) {
                    long regionStart = regions.getAtIndex(ValueLayout.JAVA_LONG, (long) i * REGION_LONGS);
                    long regionEnd = regions.getAtIndex(ValueLayout.JAVA_LONG, (long) i * REGION_LONGS + 1);
                    PageRun.append(runs, regionStart - base, regionEnd - regionStart);
                }
                // Not walk_end: when it has passed on more than 512 regions, Linux 6.18 leaves there where an earlier part
                // of the walk ended, although it came to the end.
                start = found < REGIONS ? end
                        : regions.getAtIndex(ValueLayout.JAVA_LONG, (REGIONS - 1L) * REGION_LONGS + 1);
            }
            return runs;
        } finally {
            Linux.close(pagemap);
        }
    }

    /** For kernels without {@code PAGEMAP_SCAN}. Takes the shared page of zeros for dirty, which is only wasteful. */
    static List<PageRun> readPagemap(long pid, long base, long size) throws IOException {
        List<PageRun> runs = new ArrayList<>();
        try (PageMap map = PageMap.open(pid)) {
            map.collect(base, new PageRun(0, size), PageMap::isAnonymous, runs);
            return runs;
        }
    }

    /**
     * Joins runs across small gaps until there are at most {@code wanted} of them or the gaps to fill get too large, and
     * in any case until there are at most {@code limit}: each run costs a mapping in every VM that starts from the image.
     */
    static List<PageRun> joined(List<PageRun> runs, int wanted, int limit) {
        List<PageRun> result = runs;
        for (long gap = Extent.PAGE; result.size() > wanted; gap *= 2) {
            if (gap > 32 * Extent.PAGE && result.size() <= limit) {
                break;
            }
            result = joinAcross(result, gap);
        }
        return result;
    }

    private static List<PageRun> joinAcross(List<PageRun> runs, long gap) {
        List<PageRun> result = new ArrayList<>();
        for (PageRun run : runs) {
            if (!result.isEmpty() && run.offset() - result.getLast().end() <= gap) {
                PageRun last = result.removeLast();
                result.add(new PageRun(last.offset(), run.end() - last.offset()));
            } else {
                result.add(run);
            }
        }
        return result;
    }
}
