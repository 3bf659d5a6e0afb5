package dev.cube.image;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * Directories in which an image may lie unpacked. A hostile one may be nested deeper than this process can open
 * directories, and longer than a path may be; {@code rm} copes with that.
 */
public final class FileTree {
    private FileTree() {}

    /** Removes a directory and all in it, if it is there, also in a thread that was interrupted. */
    public static void remove(Path directory) throws IOException {
        boolean interrupted = Thread.interrupted();
        try {
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
