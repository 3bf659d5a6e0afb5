package dev.cube.image;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.io.IOException;

/**
 * What {@code docker save} writes: {@code manifest.json} lists configuration and layers by file name. There is no
 * manifest with digests; the layers are verified by the configuration, whose own digest is the image's ID in Docker.
 */
final class DockerArchive {
    private final TarContainer files;

    DockerArchive(TarContainer files) {
        this.files = files;
    }

    Image resolve() throws IOException {
        if (!files.has("manifest.json")) {
            throw new ImageException("%s is not a Docker archive: it lacks manifest.json".formatted(files.name()));
        }
        String what = "manifest.json of " + files.name();
        JsonNode images = Json.array(files.read("manifest.json", ManifestResolver.MAX_DOCUMENT_SIZE), what);
        if (images.size() != 1) {
            throw new ImageException("%s holds %d images; save a single one".formatted(files.name(), images.size()));
        }
        String configPath = member(Json.text(images.get(0), "Config", what));
        byte[] configContent = files.read(configPath, ManifestResolver.MAX_DOCUMENT_SIZE);
        ConfigDocument config = ConfigDocument.parse(configContent, Digest.sha256(configContent));
        List<String> paths = Json.texts(images.get(0).path("Layers"), "Layers in " + what);
        if (paths.size() != config.diffIds().size()) {
            throw new ImageException("%s lists %d layers, and the image's configuration %d".formatted(
                    what, paths.size(), config.diffIds().size()));
        }
        List<Image.Layer> layers = new ArrayList<>();
        for (int i = 0; i < paths.size(); i++) {
            String path = member(paths.get(i));
            Digest diffId = config.diffIds().get(i);
            layers.add(new Image.Layer("layer " + diffId.brief(), files.size(path), diffId, () -> files.open(path)));
        }
        return new Image(config.config(), List.copyOf(layers));
    }

    private String member(String path) {
        if (!files.has(path)) {
            throw new ImageException("%s lacks %s".formatted(files.name(), RawName.display(path)));
        }
        return path;
    }
}
