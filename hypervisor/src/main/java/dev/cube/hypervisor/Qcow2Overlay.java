package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * An empty qcow2 overlay, written without starting {@code qemu-img}. The format is that of QEMU's
 * {@code docs/interop/qcow2.txt}, version 3: header, backing format extension, backing file name, then a refcount
 * table, one refcount block and the L1 table, a cluster each or more. The file ends at the last byte used.
 */
final class Qcow2Overlay {
    private static final int MAGIC = 0x514649fb;
    private static final int VERSION = 3;
    private static final int CLUSTER_BITS = 16;
    static final int CLUSTER = 1 << CLUSTER_BITS;
    private static final int HEADER_LENGTH = 112;
    /** Refcounts are 16 bits wide: 2 to the power of 4. */
    private static final int REFCOUNT_ORDER = 4;
    private static final int BACKING_FORMAT_EXTENSION = 0xe2792aca;
    /** What one L1 entry covers: an L2 table of 8192 entries, a cluster each. */
    private static final long BYTES_PER_L1_ENTRY = (long) CLUSTER * (CLUSTER / 8);
    private static final int MAX_BACKING_NAME = 1023;
    /** A one-cluster refcount table and one refcount block describe 2 GiB of file, far more than an empty one has. */
    private static final long MAX_SIZE = 64L << 40;

    private Qcow2Overlay() {}

    /**
     * Lays an overlay over a layer, with that layer's size.
     *
     * @param directory that the layer's name is relative to, and the working directory of the QEMU that opens the overlay
     */
    static void create(Path file, Path directory, DiskFile below) throws IOException {
        create(file, BlockNodes.pseudoName(below), below.format(), virtualSize(directory, below));
    }

    /**
     * @param backing     name of the layer below, as QEMU resolves it: relative to the overlay's directory
     * @param virtualSize of the disk, in bytes
     */
    static void create(Path file, String backing, String backingFormat, long virtualSize) throws IOException {
        ByteBuffer content = image(backing, backingFormat, virtualSize);
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            while (content.hasRemaining()) {
                channel.write(content);
            }
        }
    }

    private static ByteBuffer image(String backing, String backingFormat, long virtualSize) {
        if (virtualSize <= 0 || virtualSize > MAX_SIZE || virtualSize % 512 != 0) {
            throw new IllegalArgumentException("no valid disk size: " + virtualSize);
        }
        byte[] name = backing.getBytes(StandardCharsets.UTF_8);
        byte[] format = backingFormat.getBytes(StandardCharsets.US_ASCII);
        if (name.length == 0 || name.length > MAX_BACKING_NAME) {
            throw new IllegalArgumentException("qcow2 holds a backing file name of 1 to 1023 bytes: " + backing);
        }
        int l1Entries = Math.toIntExact((virtualSize + BYTES_PER_L1_ENTRY - 1) / BYTES_PER_L1_ENTRY);
        int l1Clusters = (l1Entries * 8 + CLUSTER - 1) / CLUSTER;
        int usedClusters = 3 + l1Clusters;
        int nameOffset = HEADER_LENGTH + 8 + (format.length + 7 & ~7) + 8;

        ByteBuffer b = ByteBuffer.allocate(3 * CLUSTER + l1Entries * 8);
        b.putInt(MAGIC).putInt(VERSION);
        b.putLong(nameOffset).putInt(name.length);
        b.putInt(CLUSTER_BITS).putLong(virtualSize);
        b.putInt(0); // not encrypted
        b.putInt(l1Entries).putLong(3L * CLUSTER);
        b.putLong(CLUSTER).putInt(1); // refcount table: where, and how many clusters
        b.putInt(0).putLong(0); // no internal snapshots
        b.putLong(0).putLong(0).putLong(0); // no incompatible, compatible or autoclear features
        b.putInt(REFCOUNT_ORDER).putInt(HEADER_LENGTH);
        b.putLong(0); // compression type zlib, and padding
        b.putInt(BACKING_FORMAT_EXTENSION).putInt(format.length).put(format);
        b.position(nameOffset - 8).putLong(0); // end of extensions
        b.put(name);
        b.position(CLUSTER).putLong(2L * CLUSTER);
        b.position(2 * CLUSTER);
        for (int i = 0; i < usedClusters; i++) {
            b.putShort((short) 1);
        }
        return b.clear();
    }

    /** The disk's size as its guest sees it, of either format. */
    static long virtualSize(Path directory, DiskFile disk) throws IOException {
        Path file = directory.resolve(disk.file());
        if (disk.format().equals(DiskFile.RAW)) {
            return Files.size(file);
        }
        ByteBuffer header = ByteBuffer.allocate(32);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            while (header.hasRemaining() && channel.read(header) >= 0) {
                continue;
            }
        }
        if (header.hasRemaining() || header.getInt(0) != MAGIC) {
            throw new IOException("not a qcow2 file: " + file);
        }
        return header.getLong(24);
    }
}
