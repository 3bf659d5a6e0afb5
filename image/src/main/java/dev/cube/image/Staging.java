package dev.cube.image;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;

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
        boolean interrupted = Thread.interrupted();
        try {
            // A hostile image may be nested deeper than this process may open directories; rm copes with that.
            Tool.Result result = Tool.run(Map.of(), "rm", "coreutils", List.of("-rf", "--", directory.toString()));
            if (result.exitCode() != 0) {
                throw new IOException("cannot remove %s: %s".formatted(directory, result.output()));
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
