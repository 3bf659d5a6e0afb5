package dev.cube.image;

import com.github.luben.zstd.ZstdInputStreamNoFinalizer;
import java.io.IOException;
import java.io.InputStream;
import java.io.PushbackInputStream;
import org.apache.commons.compress.compressors.gzip.GzipCompressorInputStream;

/** Undoes whatever compression a stream begins with: media types in the wild do not always tell the truth. */
final class Decompression {
    private static final int MAGIC_LENGTH = 4;
    private static final int GZIP_BUFFER = 64 * 1024;
    /** 128 MiB, the window that {@code zstd --ultra} reaches without {@code --long}; it bounds memory. */
    private static final int MAX_ZSTD_WINDOW_LOG = 27;

    private Decompression() {}

    static InputStream open(InputStream in) throws IOException {
        PushbackInputStream peek = new PushbackInputStream(in, MAGIC_LENGTH);
        byte[] magic = peek.readNBytes(MAGIC_LENGTH);
        peek.unread(magic);
        if (startsWith(magic, 0x1f, 0x8b)) {
            // Java's own GZIPInputStream takes the end of one member for the end of all where a stream has to wait.
            return GzipCompressorInputStream.builder()
                    .setInputStream(peek).setBufferSize(GZIP_BUFFER).setDecompressConcatenated(true).get();
        }
        if (startsWith(magic, 0x28, 0xb5, 0x2f, 0xfd)) {
            return new ZstdInputStreamNoFinalizer(peek).setLongMax(MAX_ZSTD_WINDOW_LOG);
        }
        if (startsWith(magic, 'B', 'Z', 'h') || startsWith(magic, 0xfd, '7', 'z', 'X')) {
            throw new ImageException("compressed with bzip2 or xz, which images do not use; recompress with gzip or zstd");
        }
        return peek;
    }

    private static boolean startsWith(byte[] data, int... magic) {
        if (data.length < magic.length) {
            return false;
        }
        for (int i = 0; i < magic.length; i++) {
            if ((data[i] & 0xff) != magic[i]) {
                return false;
            }
        }
        return true;
    }
}
