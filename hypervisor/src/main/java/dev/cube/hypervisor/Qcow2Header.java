package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * The header of a qcow2 file as far as Cube uses the format, which QEMU describes in {@code docs/interop/qcow2.txt}: version 3,
 * clusters of 64 KiB, refcounts of 16 bits, a backing file, none of the incompatible features.
 *
 * @param virtualSize      of the disk, in bytes
 * @param l1Entries        that are in the file; a disk of {@code virtualSize} needs {@link #l1EntriesFor} of them
 * @param l1Offset         where the L1 table is in the file
 * @param refcountOffset   where the refcount table is
 * @param refcountClusters how long that is
 */
record Qcow2Header(long virtualSize, int l1Entries, long l1Offset, long refcountOffset, int refcountClusters) {
    static final int CLUSTER_BITS = 16;
    static final int CLUSTER = 1 << CLUSTER_BITS;
    /** Entries of a table of one cluster: L1, L2 and refcount tables have entries of 8 bytes. */
    static final int TABLE_ENTRIES = CLUSTER / Long.BYTES;
    /** Bytes that are read or written at the beginning of a file, without the backing file's name. */
    static final int LENGTH = 112;

    private static final int MAGIC = 0x514649fb;
    private static final int VERSION = 3;
    /** Refcounts are 16 bits wide: 2 to the power of 4. */
    private static final int REFCOUNT_ORDER = 4;
    private static final int BACKING_FORMAT_EXTENSION = 0xe2792aca;
    private static final int MAX_BACKING_NAME = 1023;
    private static final long MAX_SIZE = 64L << 40;
    private static final long MAX_OFFSET = 1L << 56;

    /** L1 entries of a disk; each covers an L2 table, which covers a cluster with each of its entries. */
    static int l1EntriesFor(long virtualSize) {
        long bytesPerEntry = (long) CLUSTER * TABLE_ENTRIES;
        return Math.toIntExact((virtualSize + bytesPerEntry - 1) / bytesPerEntry);
    }

    static void checkSize(long virtualSize) {
        if (!isValidSize(virtualSize)) {
            throw new IllegalArgumentException("no valid disk size: " + virtualSize);
        }
    }

    private static boolean isValidSize(long virtualSize) {
        return virtualSize > 0 && virtualSize <= MAX_SIZE && virtualSize % 512 == 0;
    }

    /**
     * Writes the header at the beginning of a buffer of zeros.
     *
     * @param backing name of the layer below, as QEMU resolves it: relative to the file's directory
     */
    void put(ByteBuffer b, String backing, String backingFormat) {
        byte[] name = backing.getBytes(StandardCharsets.UTF_8);
        byte[] format = backingFormat.getBytes(StandardCharsets.US_ASCII);
        if (name.length == 0 || name.length > MAX_BACKING_NAME) {
            throw new IllegalArgumentException("qcow2 holds a backing file name of 1 to 1023 bytes: " + backing);
        }
        int nameOffset = LENGTH + 8 + (format.length + 7 & ~7) + 8;
        b.putInt(MAGIC).putInt(VERSION);
        b.putLong(nameOffset).putInt(name.length);
        b.putInt(CLUSTER_BITS).putLong(virtualSize);
        b.putInt(0); // not encrypted
        b.putInt(l1Entries).putLong(l1Offset);
        b.putLong(refcountOffset).putInt(refcountClusters);
        b.putInt(0).putLong(0); // no internal snapshots
        b.putLong(0).putLong(0).putLong(0); // no incompatible, compatible or autoclear features
        b.putInt(REFCOUNT_ORDER).putInt(LENGTH);
        b.putLong(0); // compression type zlib, and padding
        b.putInt(BACKING_FORMAT_EXTENSION).putInt(format.length).put(format);
        b.position(nameOffset - 8).putLong(0); // end of extensions
        b.put(name);
    }

    /**
     * Reads a header that anybody may have written.
     *
     * @param b the file's first {@link #LENGTH} bytes, or fewer if it has fewer
     * @throws IOException saying what this class does not know
     */
    static Qcow2Header read(ByteBuffer b) throws IOException {
        require(b.remaining() >= LENGTH && b.getInt(0) == MAGIC, "not a qcow2 file");
        require(b.getInt(4) == VERSION, "qcow2 of version %d", b.getInt(4));
        require(b.getInt(20) == CLUSTER_BITS, "clusters of 2^%d bytes", b.getInt(20));
        require(b.getInt(32) == 0, "encrypted");
        require(b.getLong(72) == 0, "features %x", b.getLong(72));
        Qcow2Header header = new Qcow2Header(b.getLong(24), b.getInt(36), b.getLong(40), b.getLong(48), b.getInt(56));
        require(isValidSize(header.virtualSize), "a disk of %d bytes", header.virtualSize);
        require(header.l1Entries >= l1EntriesFor(header.virtualSize), "%d L1 entries", header.l1Entries);
        require(header.l1Offset > 0 && header.l1Offset < MAX_OFFSET && header.l1Offset % CLUSTER == 0,
                "an L1 table at %d", header.l1Offset);
        return header;
    }

    private static void require(boolean condition, String problem, Object... arguments) throws IOException {
        if (!condition) {
            throw new IOException(problem.formatted(arguments));
        }
    }
}
