package dev.cube.cubelet;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.cube.image.FileTree;
import dev.cube.image.ImageConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A template's directory: {@code base.img} and {@code writable.img}, the disks; {@code image/}, the captured VM; and
 * {@code template.json}, written last: a directory without it is not a template.
 */
final class TemplateFiles {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int VERSION = 1;
    private static final String VERSION_FIELD = "version";

    private TemplateFiles() {}

    static Path baseDisk(Path directory) {
        return directory.resolve("base.img");
    }

    static Path writableDisk(Path directory) {
        return directory.resolve("writable.img");
    }

    static Path image(Path directory) {
        return directory.resolve("image");
    }

    private static Path manifest(Path directory) {
        return directory.resolve("template.json");
    }

    /** Writes the manifest, and has all of the directory on disk when it returns. */
    static void complete(Path directory, ImageConfig config) throws IOException {
        ObjectNode json = JSON.createObjectNode().put(VERSION_FIELD, VERSION);
        json.setAll(JSON.<ObjectNode>valueToTree(config));
        Files.writeString(manifest(directory), JSON.writerWithDefaultPrettyPrinter().writeValueAsString(json));
        List<Path> all;
        try (Stream<Path> walk = Files.walk(directory)) {
            all = walk.toList();
        }
        for (Path path : all) {
            sync(path);
        }
        sync(directory.toAbsolutePath().getParent());
    }

    private static void sync(Path path) throws IOException {
        if (Files.isRegularFile(path) || Files.isDirectory(path)) {
            try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
                channel.force(true);
            }
        }
    }

    /** The environment that the image sets. */
    static Map<String, String> readEnvironment(Path directory) {
        Map<String, String> environment = new LinkedHashMap<>();
        read(directory).path("environment").properties().forEach(entry ->
                environment.put(entry.getKey(), entry.getValue().asText()));
        return environment;
    }

    /** What the image says about running it; empty for a template of an earlier release, which did not keep that. */
    static Optional<ImageConfig> readConfig(Path directory) {
        ObjectNode json = read(directory);
        json.remove(VERSION_FIELD);
        try {
            return json.has("entrypoint") ? Optional.of(JSON.treeToValue(json, ImageConfig.class)) : Optional.empty();
        } catch (JsonProcessingException e) {
            throw unreadable(manifest(directory), e);
        }
    }

    private static SandboxException unreadable(Path manifest, IOException e) {
        return new SandboxException(SandboxException.Kind.FAILED,
                "The template's manifest %s cannot be read: %s".formatted(manifest, e.getMessage()), e);
    }

    private static ObjectNode read(Path directory) {
        Path manifest = manifest(directory);
        ObjectNode json;
        try {
            json = JSON.readValue(manifest.toFile(), ObjectNode.class);
        } catch (IOException e) {
            throw unreadable(manifest, e);
        }
        if (json.path(VERSION_FIELD).asInt() != VERSION) {
            throw new SandboxException(SandboxException.Kind.FAILED,
                    "The template's manifest %s is of another version of Cube; create the template again"
                            .formatted(manifest));
        }
        return json;
    }

    /** Removes a directory and all in it, if it is there, also what a server that was killed had unpacked in it. */
    static void delete(Path directory) {
        try {
            FileTree.remove(directory);
        } catch (IOException e) {
            throw new UncheckedIOException(e.getMessage(), e);
        }
    }
}
