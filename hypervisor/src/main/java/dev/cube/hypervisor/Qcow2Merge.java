package dev.cube.hypervisor;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Writes one qcow2 file with the content of several layers. Its clusters lie one behind the other: L1 table, for each L2 table
 * the data and then the table, refcount blocks, refcount table; the header, without which it is no qcow2 file, is written last.
 */
final class Qcow2Merge implements Closeable {
    private static final int CLUSTER = Qcow2Header.CLUSTER;
    private static final int TABLE_ENTRIES = Qcow2Header.TABLE_ENTRIES;
    /** Clusters whose refcounts are in one refcount block. */
    private static final int REFCOUNTS = CLUSTER / Short.BYTES;

    private final long virtualSize;
    /** The uppermost first. */
    private final List<Qcow2Layer> layers = new ArrayList<>();
    private final FileChannel out;
    private final ByteBuffer l1;
    /** Of the clusters of one L2 table: what counts, and in which layer. */
    private final long[] clusters = new long[TABLE_ENTRIES];
    private final int[] sources = new int[TABLE_ENTRIES];

    private Qcow2Merge(Path target, long virtualSize) throws IOException {
        this.virtualSize = virtualSize;
        this.l1 = ByteBuffer.allocate(Qcow2Header.l1EntriesFor(virtualSize) * Long.BYTES);
        this.out = FileChannel.open(target, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW);
    }

    /**
     * Merges layers of one disk into a new file, which is on disk when this returns. Where that fails, nothing is left of it.
     *
     * @param layers        qcow2 files, the lowest first
     * @param backing       name of the layer below, as QEMU resolves it
     * @param backingFormat of that
     * @param virtualSize   of the disk, in bytes
     */
    static void write(List<Path> layers, Path target, String backing, String backingFormat, long virtualSize)
            throws IOException {
        Qcow2Header.checkSize(virtualSize);
        boolean complete = false;
        try (Qcow2Merge merge = new Qcow2Merge(target, virtualSize)) {
            for (Path layer : layers.reversed()) {
                try {
                    merge.layers.add(Qcow2Layer.open(layer, virtualSize));
                } catch (IOException e) {
                    throw new IOException(layer + ": " + e.getMessage(), e);
                }
            }
            merge.write(backing, backingFormat);
            complete = true;
        } finally {
            if (!complete) {
                Files.deleteIfExists(target);
            }
        }
    }

    private void write(String backing, String backingFormat) throws IOException {
        int l1Clusters = (l1.capacity() + CLUSTER - 1) / CLUSTER;
        out.position((1L + l1Clusters) * CLUSTER);
        for (int index = 0; index < l1.capacity() / Long.BYTES; index++) {
            if (collect(index)) {
                ByteBuffer table = copyClusters();
                l1.putLong(index * Long.BYTES, out.position() | Qcow2Layer.COPIED);
                write(table);
            }
        }
        long data = out.position() / CLUSTER;
        long all = data;
        long blocks;
        long tableClusters;
        do {
            blocks = divideUp(all, REFCOUNTS);
            tableClusters = divideUp(blocks, TABLE_ENTRIES);
            all = data + blocks + tableClusters;
        } while (divideUp(all, REFCOUNTS) > blocks);
        writeRefcounts(data, all, Math.toIntExact(blocks), Math.toIntExact(tableClusters));
        out.position(CLUSTER);
        write(l1);
        out.force(false);
        ByteBuffer header = ByteBuffer.allocate(CLUSTER);
        new Qcow2Header(virtualSize, l1.capacity() / Long.BYTES, CLUSTER, (data + blocks) * CLUSTER, (int) tableClusters)
                .put(header, backing, backingFormat);
        out.position(0);
        write(header.clear());
        out.force(true);
    }

    /** Finds out which layer each cluster of an L2 table is in; false if none of them is in any. */
    private boolean collect(int index) throws IOException {
        long left = (virtualSize + CLUSTER - 1) / CLUSTER - (long) index * TABLE_ENTRIES;
        int count = (int) Math.min(left, TABLE_ENTRIES);
        Arrays.fill(clusters, Qcow2Layer.UNALLOCATED);
        boolean any = false;
        for (int layer = 0; layer < layers.size(); layer++) {
            ByteBuffer table = layers.get(layer).table(index);
            for (int i = 0; table != null && i < count; i++) {
                if (clusters[i] == Qcow2Layer.UNALLOCATED) {
                    clusters[i] = Qcow2Layer.cluster(table.getLong(i * Long.BYTES));
                    sources[i] = layer;
                    any |= clusters[i] != Qcow2Layer.UNALLOCATED;
                }
            }
        }
        return any;
    }

    /** Copies what was found, and makes the table that says where it is now. */
    private ByteBuffer copyClusters() throws IOException {
        ByteBuffer table = ByteBuffer.allocate(CLUSTER);
        for (int i = 0; i < TABLE_ENTRIES;) {
            if (clusters[i] == Qcow2Layer.UNALLOCATED || clusters[i] == Qcow2Layer.ZERO) {
                table.putLong(i * Long.BYTES, clusters[i]);
                i++;
                continue;
            }
            int end = i + 1;
            while (end < TABLE_ENTRIES && sources[end] == sources[i]
                    && clusters[end] == clusters[i] + (long) (end - i) * CLUSTER) {
                end++;
            }
            long at = out.position();
            layers.get(sources[i]).copy(clusters[i], (long) (end - i) * CLUSTER, out);
            for (int k = i; k < end; k++) {
                table.putLong(k * Long.BYTES, at + (long) (k - i) * CLUSTER | Qcow2Layer.COPIED);
            }
            i = end;
        }
        return table;
    }

    /** Every cluster of the file has one reference. */
    private void writeRefcounts(long firstBlock, long all, int blocks, int tableClusters) throws IOException {
        ByteBuffer table = ByteBuffer.allocate(tableClusters * CLUSTER);
        for (int i = 0; i < blocks; i++) {
            table.putLong((firstBlock + i) * CLUSTER);
            ByteBuffer block = ByteBuffer.allocate(CLUSTER);
            for (long cluster = (long) i * REFCOUNTS; cluster < all && block.hasRemaining(); cluster++) {
                block.putShort((short) 1);
            }
            write(block.clear());
        }
        write(table.clear());
    }

    private static long divideUp(long value, long by) {
        return (value + by - 1) / by;
    }

    private void write(ByteBuffer buffer) throws IOException {
        while (buffer.hasRemaining()) {
            out.write(buffer);
        }
    }

    @Override
    public void close() throws IOException {
        out.close();
        for (Qcow2Layer layer : layers) {
            layer.close();
        }
    }
}
