package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Finds the pages that a fork no longer shares with its parent: it has written to them. */
final class OwnPages {
    private OwnPages() {}

    /** In order of address, in the process's address space. */
    static List<PageRun> of(long pid) throws IOException {
        List<PageRun> runs = new ArrayList<>();
        try (PageMap map = PageMap.open(pid)) {
            for (PageRun mapping : privateMappings(pid)) {
                map.collect(0, mapping, OwnPages::isOwn, runs);
            }
        }
        return runs;
    }

    private static boolean isOwn(long entry) {
        return (entry & PageMap.PRESENT) != 0 && (entry & PageMap.EXCLUSIVE) != 0 && PageMap.isAnonymous(entry);
    }

    /** What may be written to, as lines like {@code 7f0c38000000-7f0c38021000 rw-p 00000000 00:00 0} tell. */
    private static List<PageRun> privateMappings(long pid) throws IOException {
        List<PageRun> mappings = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of("/proc/" + pid + "/maps"))) {
            String[] words = line.split(" ", 3);
            if (words[1].startsWith("rw") && words[1].endsWith("p")) {
                String[] ends = words[0].split("-");
                long start = Long.parseUnsignedLong(ends[0], 16);
                mappings.add(new PageRun(start, Long.parseUnsignedLong(ends[1], 16) - start));
            }
        }
        return mappings;
    }
}
