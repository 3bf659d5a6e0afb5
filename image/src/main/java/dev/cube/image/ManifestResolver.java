package dev.cube.image;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Follows the documents of an image, from index to manifest to configuration, to the layers for this machine. Formats:
 * OCI image specification 1.1, and Docker's image manifest version 2, schema 2.
 */
final class ManifestResolver {
    static final String OCI_INDEX = "application/vnd.oci.image.index.v1+json";
    static final String OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    static final String DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
    static final String DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";

    /** What registries accept at most, so that no larger one exists in the wild. */
    static final int MAX_DOCUMENT_SIZE = 4 << 20;
    private static final int MAX_INDEX_DEPTH = 4;
    private static final int MAX_LAYERS = 1000;
    private static final Set<String> LAYER_TYPES = Set.of(
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.diff.tar",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.docker.image.rootfs.diff.tar.zstd",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");

    private final ContentStore store;

    ManifestResolver(ContentStore store) {
        this.store = store;
    }

    Image resolve() throws IOException {
        ContentStore.Document document = store.root();
        for (int depth = 0; depth < MAX_INDEX_DEPTH; depth++) {
            JsonNode content = Json.object(document.content(), "the image's manifest");
            String type = content.path("mediaType").asText(document.mediaType());
            if (content.path("manifests").isArray()) {
                document = read(forThisMachine(content.path("manifests")));
            } else if (content.path("config").isObject() && content.path("layers").isArray()) {
                return image(content, document.digest());
            } else {
                throw new ImageException("the image's manifest is of the type '%s', which is not supported"
                        .formatted(RawName.display(type)));
            }
        }
        throw new ImageException("the image's indexes are nested more than %d deep".formatted(MAX_INDEX_DEPTH));
    }

    /** The first entry of an index that fits, which is the one that its maker prefers. */
    private static Descriptor forThisMachine(JsonNode manifests) {
        Set<String> offered = new LinkedHashSet<>();
        for (JsonNode entry : manifests) {
            JsonNode platform = entry.path("platform");
            String os = platform.path("os").asText(ConfigDocument.OS);
            String architecture = platform.path("architecture").asText(ConfigDocument.ARCHITECTURE);
            if (os.equals(ConfigDocument.OS) && architecture.equals(ConfigDocument.ARCHITECTURE)) {
                return descriptor(entry, "the image's index");
            }
            // Build attestations are listed as images for no platform.
            if (!os.equals("unknown")) {
                offered.add(RawName.display(os + "/" + architecture));
            }
        }
        throw new ImageException("the image is for %s, and this machine needs %s/%s".formatted(
                offered.isEmpty() ? "no platform" : String.join(", ", offered.stream().limit(20).toList()),
                ConfigDocument.OS, ConfigDocument.ARCHITECTURE));
    }

    private Image image(JsonNode manifest, Digest digest) throws IOException {
        Descriptor configDescriptor = descriptor(manifest.path("config"), "config in the image's manifest");
        ConfigDocument config = ConfigDocument.parse(read(configDescriptor, ContentStore.Kind.BLOB), digest);
        JsonNode layers = manifest.path("layers");
        if (layers.size() > MAX_LAYERS) {
            throw new ImageException("the image has more than %d layers".formatted(MAX_LAYERS));
        }
        if (layers.size() != config.diffIds().size()) {
            throw new ImageException("the image's manifest has %d layers, and its configuration %d".formatted(
                    layers.size(), config.diffIds().size()));
        }
        List<Image.Layer> result = new ArrayList<>();
        for (int i = 0; i < layers.size(); i++) {
            Descriptor layer = descriptor(layers.get(i), "a layer in the image's manifest");
            if (!LAYER_TYPES.contains(layer.mediaType())) {
                throw new ImageException("a layer is of the type '%s', which is not a file system layer"
                        .formatted(RawName.display(layer.mediaType())));
            }
            String name = "layer " + layer.digest().brief();
            result.add(new Image.Layer(name, layer.size(), config.diffIds().get(i), () -> new VerifyingInputStream(
                    store.open(layer, ContentStore.Kind.BLOB), name, layer.digest(), layer.size())));
        }
        return new Image(config.config(), List.copyOf(result));
    }

    private ContentStore.Document read(Descriptor descriptor) throws IOException {
        return new ContentStore.Document(
                descriptor.mediaType(), descriptor.digest(), read(descriptor, ContentStore.Kind.MANIFEST));
    }

    private byte[] read(Descriptor descriptor, ContentStore.Kind kind) throws IOException {
        if (descriptor.size() > MAX_DOCUMENT_SIZE) {
            throw new ImageException("document %s of the image has %d bytes, more than %d".formatted(
                    descriptor.digest().brief(), descriptor.size(), MAX_DOCUMENT_SIZE));
        }
        try (InputStream in = new VerifyingInputStream(store.open(descriptor, kind),
                "document " + descriptor.digest().brief(), descriptor.digest(), descriptor.size())) {
            return in.readAllBytes();
        }
    }

    static Descriptor descriptor(JsonNode node, String what) {
        JsonNode size = node.path("size");
        if (!size.isIntegralNumber() || !size.canConvertToLong() || size.longValue() < 0) {
            throw new ImageException("%s has no size".formatted(what));
        }
        return new Descriptor(node.path("mediaType").asText(""), Digest.parse(Json.text(node, "digest", what)),
                size.longValue());
    }

    /** The annotation by which a layout's index names an entry. */
    static Optional<String> tag(JsonNode entry) {
        return Optional.ofNullable(
                entry.path("annotations").path("org.opencontainers.image.ref.name").textValue());
    }
}
