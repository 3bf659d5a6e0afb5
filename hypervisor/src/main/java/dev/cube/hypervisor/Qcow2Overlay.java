package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * An empty qcow2 overlay, written without starting {@code qemu-img}: the header, then a refcount table, one refcount block and
 * the L1 table, a cluster each or more. The file ends at the last byte used.
 */
final class Qcow2Overlay {
    static final int CLUSTER = Qcow2Header.CLUSTER;

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
        SparseFile.of(image(backing, backingFormat, virtualSize)).create(file);
    }

    /** A one-cluster refcount table and one refcount block describe 2 GiB of file, far more than an empty one has. */
    private static ByteBuffer image(String backing, String backingFormat, long virtualSize) {
        Qcow2Header.checkSize(virtualSize);
        int l1Entries = Qcow2Header.l1EntriesFor(virtualSize);
        int l1Clusters = (l1Entries * Long.BYTES + CLUSTER - 1) / CLUSTER;
        int usedClusters = 3 + l1Clusters;
        ByteBuffer b = ByteBuffer.allocate(3 * CLUSTER + l1Entries * Long.BYTES);
        new Qcow2Header(virtualSize, l1Entries, 3L * CLUSTER, CLUSTER, 1).put(b, backing, backingFormat);
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
        ByteBuffer header = ByteBuffer.allocate(Qcow2Header.LENGTH);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            while (header.hasRemaining() && channel.read(header) >= 0) {
                continue;
            }
            return Qcow2Header.read(header.flip()).virtualSize();
        } catch (IOException e) {
            throw new IOException(file + ": " + e.getMessage(), e);
        }
    }
}
