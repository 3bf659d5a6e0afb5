package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Has a stopped QEMU write pages of its guest into a new file, one after the other. Zeros are left out where nothing else would be:
 * most of a huge page may be memory that the guest has not written yet.
 */
final class MemoryCopy {
    /** Bytes of zeros; fewer stay part of an extent. */
    static final long SMALLEST_HOLE = 64 * 1024;
    /** About as many holes are worth a mapping each in every VM. */
    private static final long MOST_HOLES = 2048;
    /** From this size on a file is written past the page cache, which would take longer to give it pages than the disk takes. */
    private static final long DIRECT_FROM = 64 << 20;
    /** A fork that is asked for meanwhile waits while so many bytes are copied: a millisecond or two. */
    private static final long BYTES_AT_ONCE = 4 << 20;

    private final MemoryControl control;
    private final Path file;
    private final Optional<StagedFile> staged;
    private final long smallestHole;
    private final List<SavedRun> batch = new ArrayList<>();
    private final List<Extent> extents = new ArrayList<>();
    private long batchBytes;
    private long written;

    private MemoryCopy(MemoryControl control, Path file, Optional<StagedFile> staged, long smallestHole) {
        this.control = control;
        this.file = file;
        this.staged = staged;
        this.smallestHole = smallestHole;
    }

    /**
     * @param control of the QEMU
     * @param below   what the copy will be laid over
     * @param runs    in order
     * @param file    absolute
     * @return where the pages are in the new file; file 0 of the map is {@code name}
     */
    static MemoryMap copy(MemoryControl control, MemoryMap below, List<PageRun> runs, Path file, String name)
            throws IOException {
        long size = runs.stream().mapToLong(PageRun::length).sum();
        long smallestHole = Math.max(SMALLEST_HOLE, size / MOST_HOLES);
        FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW).close();
        try (StagedFile staged = size < DIRECT_FROM ? null : StagedFile.open(file, size, BYTES_AT_ONCE).orElse(null)) {
            MemoryCopy copy = new MemoryCopy(control, file, Optional.ofNullable(staged), smallestHole);
            copy.addAll(below, runs);
            copy.write();
            if (staged != null) {
                staged.finish();
            }
            return new MemoryMap(List.of(name), copy.extents);
        }
    }

    private void addAll(MemoryMap below, List<PageRun> runs) throws IOException {
        List<PageRun> gaps = below.gaps(runs);
        int next = 0;
        for (PageRun run : runs) {
            long at = run.offset();
            for (; next < gaps.size() && gaps.get(next).offset() < run.end(); next++) {
                PageRun gap = gaps.get(next);
                add(at, gap.offset(), false);
                add(gap.offset(), gap.end(), true);
                at = gap.end();
            }
            add(at, run.end(), false);
        }
    }

    private void add(long from, long to, boolean withoutZeros) throws IOException {
        for (long at = from; at < to;) {
            long length = Math.min(to - at, BYTES_AT_ONCE - batchBytes);
            batch.add(new SavedRun(new PageRun(at, length), withoutZeros));
            batchBytes += length;
            at += length;
            if (batchBytes == BYTES_AT_ONCE) {
                write();
            }
        }
    }

    private void write() throws IOException {
        if (batch.isEmpty()) {
            return;
        }
        if (staged.isPresent()) {
            staged.get().append(this::save);
        } else {
            save(file, written);
        }
        batch.clear();
        batchBytes = 0;
    }

    /** @return bytes that were not left out */
    private long save(Path target, long position) throws IOException {
        long before = written;
        List<PageRun> holes = control.save(target, position, smallestHole, batch);
        int next = 0;
        for (SavedRun saved : batch) {
            long at = saved.run().offset();
            for (; next < holes.size() && holes.get(next).offset() < saved.run().end(); next++) {
                keep(at, holes.get(next).offset());
                at = holes.get(next).end();
            }
            keep(at, saved.run().end());
        }
        return written - before;
    }

    private void keep(long from, long to) {
        if (from == to) {
            return;
        }
        Extent next = new Extent(from, to - from, 0, written);
        written += next.length();
        if (!extents.isEmpty() && extents.getLast().continuesIn(next)) {
            Extent last = extents.removeLast();
            next = new Extent(last.guestOffset(), last.length() + next.length(), 0, last.fileOffset());
        }
        extents.add(next);
    }
}
