package dev.cube.image;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;

/** An image and the store that it is read from. */
record OpenImage(Image image, Closeable store) implements AutoCloseable {
    /** @param scratch a directory for temporary files, which the caller removes */
    static OpenImage open(ImageReference reference, Path scratch, UnpackLimits limits,
            RegistryCredentials credentials) throws IOException {
        return switch (reference) {
            case ImageReference.Layout layout ->
                    resolve(new LayoutStore(new DirectoryContainer(layout.directory()), layout.tag()));
            case ImageReference.LayoutArchive archive ->
                    resolve(new LayoutStore(openTar(archive.file(), scratch, limits), archive.tag()));
            case ImageReference.DockerArchive archive -> {
                TarContainer tar = openTar(archive.file(), scratch, limits);
                try {
                    yield new OpenImage(new DockerArchive(tar).resolve(), tar);
                } catch (IOException | RuntimeException e) {
                    tar.close();
                    throw e;
                }
            }
            case ImageReference.Registry registry -> resolve(new RegistryStore(registry, credentials));
        };
    }

    private static TarContainer openTar(Path file, Path scratch, UnpackLimits limits) throws IOException {
        return TarContainer.open(file, scratch.resolve("archive.tar"), limits);
    }

    private static OpenImage resolve(ContentStore store) throws IOException {
        try {
            return new OpenImage(new ManifestResolver(store).resolve(), store);
        } catch (IOException | RuntimeException e) {
            store.close();
            throw e;
        }
    }

    @Override
    public void close() throws IOException {
        store.close();
    }
}
