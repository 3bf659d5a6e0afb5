package dev.cube.image;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;

/** Content-addressed storage that holds an image: a directory, an archive or a registry. For one thread. */
interface ContentStore extends Closeable {
    /** What the reference leads to: an index or a manifest. */
    Document root() throws IOException;

    /** Opens an index or manifest that the root refers to, or a part of one. */
    InputStream open(Descriptor descriptor, Kind kind) throws IOException;

    @Override
    void close() throws IOException;

    /** Registries keep the two apart. */
    enum Kind { MANIFEST, BLOB }

    /** An index or manifest as it was stored, its digest verified. */
    record Document(String mediaType, Digest digest, byte[] content) {}
}
