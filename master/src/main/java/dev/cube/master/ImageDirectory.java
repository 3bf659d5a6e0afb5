package dev.cube.master;

import dev.cube.cubelet.Cubelet;
import dev.cube.cubelet.SandboxException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A directory with one image for each ID: of snapshots, or of paused sandboxes. */
final class ImageDirectory {
    private static final Logger LOG = LoggerFactory.getLogger(ImageDirectory.class);

    private final Path directory;
    private final Cubelet cubelet;

    ImageDirectory(Path directory, Cubelet cubelet) {
        this.directory = directory;
        this.cubelet = cubelet;
        try {
            Files.createDirectories(directory);
        } catch (IOException e) {
            throw new MasterException(MasterException.Kind.FAILED,
                    "The directory %s cannot be made: %s".formatted(directory, e), e);
        }
    }

    Path of(String id) {
        return directory.resolve(id);
    }

    /** Whether there is an image, which is whole then. */
    boolean has(String id) {
        return Files.isDirectory(of(id));
    }

    /** Removes an image and all that is held for it, if there is one. What cannot be removed, the next start removes. */
    void discard(String id) {
        try {
            cubelet.discard(of(id));
        } catch (SandboxException e) {
            LOG.warn("{} is left behind until the next start: {}", of(id), e.getMessage());
        }
    }

    /** Removes what belongs to nobody. */
    void discardAllBut(Set<String> ids) {
        Set<String> others = new HashSet<>();
        try (Stream<Path> children = Files.list(directory)) {
            children.map(child -> imageName(child.getFileName().toString())).forEach(others::add);
        } catch (IOException e) {
            throw new MasterException(MasterException.Kind.FAILED,
                    "The directory %s cannot be read: %s".formatted(directory, e), e);
        }
        others.removeAll(ids);
        others.forEach(id -> {
            LOG.info("removing {}, which belongs to nothing", of(id));
            discard(id);
        });
    }

    /** An image that is being made is called {@code .<name>.new} until it is whole. */
    private static String imageName(String file) {
        return file.startsWith(".") && file.endsWith(".new") ? file.substring(1, file.length() - 4) : file;
    }
}
