package dev.cube.image;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/**
 * A directory in which an image is unpacked, closed to everyone but root, as set-user-ID programs and devices lie in it.
 * Closing removes it, also in a thread that was interrupted.
 */
record Staging(Path directory) implements AutoCloseable {
    static Staging beside(Path target) throws IOException {
        if (!Files.isDirectory(target.getParent())) {
            throw new ImageException("directory %s does not exist".formatted(target.getParent()));
        }
        return new Staging(Files.createTempDirectory(target.getParent(), "." + target.getFileName() + ".",
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"))));
    }

    @Override
    public void close() throws IOException {
        FileTree.remove(directory);
    }
}
