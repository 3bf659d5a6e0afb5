package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** Writes those pages of a stopped VM's memory that are in no image yet. */
final class MemoryWriter {
    /** Extents of an image that are wanted at most, as long as the price in copied clean pages is low. */
    private static final int WANTED_EXTENTS = 256;
    private static final int LEAST_WANTED_EXTENTS = 64;
    /**
     * An image of more files than this is made of two: the one that most of it is in, which is a template's, and one with all
     * the rest.
     */
    static final int MOST_FILES = 8;

    private MemoryWriter() {}

    /**
     * An image that is known to hold a former state of the VM, and the stopped QEMU that has this state in its memory.
     *
     * @param files where the files of the map are
     */
    record Former(MemoryMap map, Path files, long pid) {}

    /**
     * @param bytes written for this image alone
     */
    record Written(MemoryMap map, long bytes) {}

    /**
     * @param qemu   has guest memory at the same place as that of {@code former}
     * @param origin what the memory is a private mapping of, and where its files are
     * @param former an image that the pages of are not to be written again; null: none but {@code origin}
     * @param name   of the file to write in {@code directory}
     */
    static Written write(QemuHandle qemu, MemoryMap origin, Path files, Former former, Path directory, String name)
            throws IOException {
        MemoryControl.Location memory = qemu.memory();
        long pid = qemu.process().pid();
        List<PageRun> runs = DirtyPages.of(pid, memory.base(), memory.size());
        MemoryMap base = origin;
        Path baseFiles = files;
        if (former != null) {
            runs = SharedPages.without(runs, pid, former.pid(), memory.base());
            base = former.map();
            baseFiles = former.files();
        }
        if (base.files().size() > MOST_FILES) {
            int largest = largestFile(base);
            runs = union(runs, base.runsOutside(largest));
            base = base.only(largest);
        }
        int wanted = Math.max(WANTED_EXTENTS - base.extents().size(), LEAST_WANTED_EXTENTS);
        int limit = MemoryMap.MAX_EXTENTS / 2 - base.extents().size();
        MemoryMap delta = MemoryCopy.copy(qemu.control(), base, DirtyPages.joined(runs, wanted, limit),
                directory.toAbsolutePath().resolve(name), name);
        List<String> adopted = new ArrayList<>();
        for (String ancestor : base.files()) {
            adopted.add(ImageStore.adopt(baseFiles.resolve(ancestor), ancestor, directory));
        }
        return new Written(new MemoryMap(adopted, base.extents()).under(delta), delta.bytes());
    }

    private static int largestFile(MemoryMap map) {
        long[] bytes = new long[map.files().size()];
        map.extents().forEach(extent -> bytes[extent.file()] += extent.length());
        return IntStream.range(0, bytes.length).boxed().max(Comparator.comparing(i -> bytes[i])).orElseThrow();
    }

    /** Pages that are in either list; both are in order. */
    static List<PageRun> union(List<PageRun> one, List<PageRun> other) {
        List<PageRun> all = new ArrayList<>(one);
        all.addAll(other);
        all.sort(Comparator.comparingLong(PageRun::offset));
        List<PageRun> result = new ArrayList<>();
        for (PageRun run : all) {
            if (!result.isEmpty() && run.offset() <= result.getLast().end()) {
                PageRun last = result.removeLast();
                long end = Math.max(last.end(), run.end());
                result.add(new PageRun(last.offset(), end - last.offset()));
            } else {
                result.add(run);
            }
        }
        return result;
    }
}
