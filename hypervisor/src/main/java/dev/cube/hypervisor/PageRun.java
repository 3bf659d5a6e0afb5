package dev.cube.hypervisor;

import java.util.List;

/** Consecutive pages, of guest memory or of a process; offset, from the beginning of either, and length in bytes. */
record PageRun(long offset, long length) {
    long end() {
        return offset + length;
    }

    /** Adds pages that lie behind those of all runs, to the last one where they go on from it. */
    static void append(List<PageRun> runs, long offset, long length) {
        if (!runs.isEmpty() && runs.getLast().end() == offset) {
            PageRun last = runs.removeLast();
            runs.add(new PageRun(last.offset(), last.length() + length));
        } else {
            runs.add(new PageRun(offset, length));
        }
    }
}
