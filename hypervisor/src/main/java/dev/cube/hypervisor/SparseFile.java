package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * The content of a small file without its zeros, for making files that take no room where it has them. Immutable.
 *
 * @param size in bytes
 */
record SparseFile(int size, List<Piece> pieces) {
    /** What a hole is made of, in bytes: a page of the page cache. */
    static final int BLOCK = 4096;
    /** Whoever has much content does not keep it in memory. */
    private static final int MOST_BYTES = 64 << 20;
    /** A block of them, not to be changed. */
    static final ByteBuffer ZEROS = ByteBuffer.allocate(BLOCK).asReadOnlyBuffer();

    /** Bytes that are not all zeros. */
    private record Piece(int offset, ByteBuffer bytes) {}

    /** @param content from 0 to the limit */
    static SparseFile of(ByteBuffer content) {
        int size = content.limit();
        List<Piece> pieces = new ArrayList<>();
        for (int at = 0; at < size; at += BLOCK) {
            int begin = at;
            while (at < size && !isZero(content, at)) {
                at += BLOCK;
            }
            if (at > begin) {
                int length = Math.min(at, size) - begin;
                pieces.add(new Piece(begin, ByteBuffer.allocate(length).put(0, content, begin, length).asReadOnlyBuffer()));
            }
        }
        return new SparseFile(size, List.copyOf(pieces));
    }

    private static boolean isZero(ByteBuffer content, int at) {
        int length = Math.min(BLOCK, content.limit() - at);
        return content.slice(at, length).equals(ZEROS.slice(0, length));
    }

    static SparseFile read(Path file) throws IOException {
        if (Files.size(file) > MOST_BYTES) {
            throw new IOException("%s is too large to be kept: %d bytes".formatted(file, Files.size(file)));
        }
        return of(ByteBuffer.wrap(Files.readAllBytes(file)));
    }

    /** Makes a file of this content, which must not be there. */
    void create(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            int end = 0;
            for (Piece piece : pieces) {
                write(channel, piece.bytes.duplicate(), piece.offset);
                end = piece.offset + piece.bytes.capacity();
            }
            if (end < size) {
                write(channel, ZEROS.slice(0, 1), size - 1);
            }
        }
    }

    private static void write(FileChannel channel, ByteBuffer bytes, long at) throws IOException {
        for (long next = at; bytes.hasRemaining();) {
            next += channel.write(bytes, next);
        }
    }
}
