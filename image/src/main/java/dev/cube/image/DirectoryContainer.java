package dev.cube.image;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** A directory's files. */
record DirectoryContainer(Path directory) implements FileContainer {
    DirectoryContainer {
        if (!Files.isDirectory(directory)) {
            throw new ImageException("image directory %s does not exist".formatted(directory));
        }
    }

    @Override
    public String name() {
        return directory.toString();
    }

    @Override
    public boolean has(String path) {
        return Files.isRegularFile(directory.resolve(path));
    }

    @Override
    public InputStream open(String path) throws IOException {
        return Files.newInputStream(directory.resolve(path));
    }

    @Override
    public void close() {}
}
