package dev.cube.hypervisor;

import com.fasterxml.jackson.annotation.JsonFormat;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;

/**
 * A piece of guest memory that comes from a file. Offsets and length are in bytes and whole pages.
 *
 * @param file index of the file in the list that goes with the extents
 */
@JsonFormat(shape = JsonFormat.Shape.ARRAY)
@JsonPropertyOrder({"guestOffset", "length", "file", "fileOffset"})
record Extent(long guestOffset, long length, int file, long fileOffset) {
    /** Bytes in a page of guest and host. */
    static final long PAGE = 4096;

    Extent {
        if (guestOffset < 0 || length <= 0 || file < 0 || fileOffset < 0
                || guestOffset % PAGE != 0 || length % PAGE != 0 || fileOffset % PAGE != 0
                || guestOffset > Long.MAX_VALUE - length || fileOffset > Long.MAX_VALUE - length) {
            throw new IllegalArgumentException("no valid extent: guest offset %d, length %d, file %d, offset %d"
                    .formatted(guestOffset, length, file, fileOffset));
        }
    }

    long guestEnd() {
        return guestOffset + length;
    }

    /** The part between two guest offsets, which must lie in this extent. */
    Extent part(long from, long to) {
        return new Extent(from, to - from, file, fileOffset + (from - guestOffset));
    }

    /** Whether {@code next} goes on, in guest and file, where this one ends. */
    boolean continuesIn(Extent next) {
        return next.file == file && next.guestOffset == guestEnd() && next.fileOffset == fileOffset + length;
    }
}
