package dev.cube.image;

import java.io.IOException;
import java.io.InputStream;
import java.util.List;

/** An image for this machine's architecture, ready to be unpacked. */
record Image(ImageConfig config, List<Layer> layers) {
    /**
     * One layer.
     *
     * @param name   for messages
     * @param size   in bytes as stored
     * @param diffId digest of the uncompressed archive
     * @param source opens the layer as stored, verified if the format has a digest for that
     */
    record Layer(String name, long size, Digest diffId, Source source) {
        /** The uncompressed archive, verified by its end. */
        InputStream open() throws IOException {
            InputStream stored = source.open();
            try {
                return new VerifyingInputStream(
                        new DrainingInputStream(Decompression.open(stored), stored), name, diffId,
                        VerifyingInputStream.UNKNOWN_SIZE);
            } catch (IOException | RuntimeException e) {
                stored.close();
                throw e;
            }
        }
    }

    @FunctionalInterface
    interface Source {
        InputStream open() throws IOException;
    }
}
