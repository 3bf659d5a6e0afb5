package dev.cube.image;

import java.util.List;
import java.util.Map;

/**
 * One file of a tar archive. Names are {@linkplain RawName raw} and as written in the archive: anything may be in them.
 *
 * @param storedSize bytes of content in the archive
 * @param size       of the file; larger than {@code storedSize} where it is sparse
 * @param mode       07777
 * @param link       target of a link, otherwise empty
 * @param attributes extended attributes by their raw name
 * @param sparse     where the content goes in a sparse file, in order; {@code null} for other files
 */
record TarEntry(String name, Type type, long storedSize, long size, int mode, int uid, int gid, Time time, String link,
        int deviceMajor, int deviceMinor, Map<String, byte[]> attributes, List<Extent> sparse) {

    enum Type { FILE, HARD_LINK, SYMBOLIC_LINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO }

    /** Since 1970. */
    record Time(long seconds, int nanos) {
        static final Time EPOCH = new Time(0, 0);
    }

    /** Bytes of a sparse file that the archive holds. */
    record Extent(long offset, long length) {}
}
