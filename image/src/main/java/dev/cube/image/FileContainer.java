package dev.cube.image;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;

/** Files by their relative path: a directory, or an archive that stands for one. */
interface FileContainer extends Closeable {
    /** For messages. */
    String name();

    boolean has(String path);

    InputStream open(String path) throws IOException;

    @Override
    void close() throws IOException;

    default byte[] read(String path, int limit) throws IOException {
        try (InputStream in = open(path)) {
            byte[] content = in.readNBytes(limit + 1);
            if (content.length > limit) {
                throw new ImageException("%s in %s is larger than %d bytes".formatted(path, name(), limit));
            }
            return content;
        }
    }
}
