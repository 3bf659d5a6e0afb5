package dev.cube.hypervisor;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The content of guest memory: extents in order of guest offset, without overlap, over a list of files. What no extent
 * covers is zero.
 */
record MemoryMap(List<String> files, List<Extent> extents) {
    /** More than this the memory library refuses, in view of the kernel's limit of 65530 mappings for a process. */
    static final int MAX_EXTENTS = 30_000;

    MemoryMap {
        files = List.copyOf(files);
        extents = List.copyOf(extents);
        long end = 0;
        for (Extent extent : extents) {
            if (extent.guestOffset() < end) {
                throw new IllegalArgumentException("extents overlap or are out of order at " + extent.guestOffset());
            }
            if (extent.file() >= files.size()) {
                throw new IllegalArgumentException("no file " + extent.file() + " for an extent");
            }
            end = extent.guestEnd();
        }
    }

    /** Where the last extent ends. */
    long end() {
        return extents.isEmpty() ? 0 : extents.getLast().guestEnd();
    }

    /** How much of guest memory the extents cover. */
    long bytes() {
        return extents.stream().mapToLong(Extent::length).sum();
    }

    /** The part that comes from one of the files. */
    MemoryMap only(int file) {
        return compacted(files, extents.stream().filter(extent -> extent.file() == file).toList());
    }

    /** What comes from the other files. */
    List<PageRun> runsOutside(int file) {
        return extents.stream().filter(extent -> extent.file() != file)
                .map(extent -> new PageRun(extent.guestOffset(), extent.length())).toList();
    }

    /**
     * The parts of runs of pages that no extent covers, in order; none is of two runs.
     *
     * @param runs in order, without overlap
     */
    List<PageRun> gaps(List<PageRun> runs) {
        List<PageRun> gaps = new ArrayList<>();
        int next = 0;
        for (PageRun run : runs) {
            long at = run.offset();
            while (next < extents.size() && extents.get(next).guestEnd() <= at) {
                next++;
            }
            for (int i = next; at < run.end(); i++) {
                long covered = i < extents.size() ? Math.min(extents.get(i).guestOffset(), run.end()) : run.end();
                if (at < covered) {
                    gaps.add(new PageRun(at, covered - at));
                }
                at = i < extents.size() ? Math.max(covered, extents.get(i).guestEnd()) : run.end();
            }
        }
        return gaps;
    }

    /** This map with {@code upper} laid over it. Files that no extent needs any longer are dropped. */
    MemoryMap under(MemoryMap upper) {
        List<String> allFiles = new ArrayList<>(files);
        allFiles.addAll(upper.files);
        List<Extent> result = new ArrayList<>(extents.size() + upper.extents.size());
        int lower = 0;
        long covered = 0;
        for (Extent top : upper.extents) {
            while (lower < extents.size() && extents.get(lower).guestOffset() < top.guestOffset()) {
                Extent below = extents.get(lower);
                long from = Math.max(below.guestOffset(), covered);
                long to = Math.min(below.guestEnd(), top.guestOffset());
                if (from < to) {
                    append(result, below.part(from, to));
                }
                if (below.guestEnd() > top.guestOffset()) {
                    break;
                }
                lower++;
            }
            append(result, new Extent(top.guestOffset(), top.length(), top.file() + files.size(), top.fileOffset()));
            covered = top.guestEnd();
        }
        for (; lower < extents.size(); lower++) {
            Extent below = extents.get(lower);
            long from = Math.max(below.guestOffset(), covered);
            if (from < below.guestEnd()) {
                append(result, below.part(from, below.guestEnd()));
            }
        }
        return compacted(allFiles, result);
    }

    private static void append(List<Extent> list, Extent next) {
        if (!list.isEmpty() && list.getLast().continuesIn(next)) {
            Extent last = list.removeLast();
            list.add(new Extent(last.guestOffset(), last.length() + next.length(), last.file(), last.fileOffset()));
        } else {
            list.add(next);
        }
    }

    private static MemoryMap compacted(List<String> files, List<Extent> extents) {
        Map<String, Integer> kept = new LinkedHashMap<>();
        List<Extent> result = new ArrayList<>(extents.size());
        for (Extent extent : extents) {
            int file = kept.computeIfAbsent(files.get(extent.file()), name -> kept.size());
            result.add(new Extent(extent.guestOffset(), extent.length(), file, extent.fileOffset()));
        }
        return new MemoryMap(List.copyOf(kept.keySet()), result);
    }
}
