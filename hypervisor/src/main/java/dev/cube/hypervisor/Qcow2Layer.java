package dev.cube.hypervisor;

import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A frozen qcow2 file, read without QEMU. A QEMU wrote it that its guest may have taken over: whatever is in the file, it is
 * read as a layer of the size that is expected, or refused with an {@link IOException}. Not thread-safe.
 */
final class Qcow2Layer implements Closeable {
    /** Nothing is said of a cluster; the layer below counts. */
    static final long UNALLOCATED = 0;
    /** Entry of a cluster that reads as zeros. */
    static final long ZERO = 1;
    /** Set in entries of clusters with one reference. */
    static final long COPIED = 1L << 63;

    private static final long OFFSET = 0x00ff_ffff_ffff_fe00L;
    private static final long COMPRESSED = 1L << 62;

    private final FileChannel channel;
    private final ByteBuffer l1;
    private final ByteBuffer l2 = ByteBuffer.allocate(Qcow2Header.CLUSTER);

    private Qcow2Layer(FileChannel channel, ByteBuffer l1) {
        this.channel = channel;
        this.l1 = l1;
    }

    static Qcow2Layer open(Path file, long virtualSize) throws IOException {
        FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS);
        boolean opened = false;
        try {
            ByteBuffer first = ByteBuffer.allocate(Qcow2Header.LENGTH);
            read(channel, first, 0);
            Qcow2Header header = Qcow2Header.read(first);
            if (header.virtualSize() != virtualSize) {
                throw new IOException("a layer of %d bytes in a disk of %d".formatted(header.virtualSize(), virtualSize));
            }
            ByteBuffer l1 = ByteBuffer.allocate(Qcow2Header.l1EntriesFor(virtualSize) * Long.BYTES);
            read(channel, l1, header.l1Offset());
            opened = true;
            return new Qcow2Layer(channel, l1);
        } finally {
            if (!opened) {
                channel.close();
            }
        }
    }

    /** Whether nothing is said of any cluster. */
    boolean isEmpty() throws IOException {
        for (int i = 0; i < l1.limit() / Long.BYTES; i++) {
            if (offset(l1.getLong(i * Long.BYTES)) != 0) {
                return false;
            }
        }
        return true;
    }

    /**
     * The L2 table that an L1 entry refers to, which is the same buffer each time; null if there is none.
     *
     * @param index of the L1 entry
     */
    ByteBuffer table(int index) throws IOException {
        long offset = offset(l1.getLong(index * Long.BYTES));
        if (offset == 0) {
            return null;
        }
        read(channel, l2.clear(), offset);
        return l2;
    }

    /**
     * What an entry of an L2 table says: {@link #UNALLOCATED}, {@link #ZERO}, or where in the file the cluster is, a multiple of
     * its size.
     */
    static long cluster(long entry) throws IOException {
        if ((entry & COMPRESSED) != 0) {
            throw new IOException("a compressed cluster");
        }
        return (entry & ZERO) != 0 ? ZERO : offset(entry & ~ZERO);
    }

    private static long offset(long entry) throws IOException {
        long offset = entry & OFFSET;
        if ((entry & ~(OFFSET | COPIED)) != 0 || offset % Qcow2Header.CLUSTER != 0) {
            throw new IOException("an entry %x of a table".formatted(entry));
        }
        return offset;
    }

    /** Copies content to where {@code target} is. What is beyond the file's end is zero, and becomes a hole. */
    void copy(long from, long length, FileChannel target) throws IOException {
        long begin = target.position();
        for (long done = 0; done < length;) {
            long copied = channel.transferTo(from + done, length - done, target);
            if (copied <= 0) {
                break;
            }
            done += copied;
        }
        target.position(begin + length);
    }

    private static void read(FileChannel channel, ByteBuffer target, long offset) throws IOException {
        while (target.hasRemaining()) {
            if (channel.read(target, offset + target.position()) < 0) {
                throw new EOFException("a table beyond the end of the file");
            }
        }
        target.flip();
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
