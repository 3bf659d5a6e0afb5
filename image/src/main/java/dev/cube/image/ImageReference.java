package dev.cube.image;

import java.nio.file.Path;
import java.util.Optional;

/** Where an image is, parsed from what a user wrote. */
public sealed interface ImageReference {
    /** An OCI image layout in a directory, {@code oci:DIR[:TAG]}. */
    record Layout(Path directory, Optional<String> tag) implements ImageReference {}

    /** An OCI image layout in a tar file, {@code oci-archive:FILE[:TAG]}. */
    record LayoutArchive(Path file, Optional<String> tag) implements ImageReference {}

    /** What {@code docker save} writes, {@code docker-archive:FILE}. */
    record DockerArchive(Path file) implements ImageReference {}

    /**
     * A repository in a registry, {@code HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]}.
     *
     * @param host      with the port, if there is one
     * @param reference a tag, or a digest, which takes precedence as it says more
     */
    record Registry(String host, String repository, String reference) implements ImageReference {}

    /** @throws ImageException with what is wrong and what is expected */
    static ImageReference parse(String text) {
        return ImageReferenceParser.parse(text);
    }
}
