package dev.cube.image;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** An OCI image layout, in a directory or an archive. */
final class LayoutStore implements ContentStore {
    private static final String DEFAULT_TAG = "latest";

    private final FileContainer files;
    private final Optional<String> tag;

    LayoutStore(FileContainer files, Optional<String> tag) {
        this.files = files;
        this.tag = tag;
    }

    @Override
    public Document root() throws IOException {
        if (!files.has("oci-layout") || !files.has("index.json")) {
            throw new ImageException("%s is not an OCI image layout: it lacks oci-layout or index.json"
                    .formatted(files.name()));
        }
        JsonNode manifests = Json.object(files.read("index.json", ManifestResolver.MAX_DOCUMENT_SIZE),
                "index.json of " + files.name()).path("manifests");
        Descriptor chosen = ManifestResolver.descriptor(choose(manifests), "an entry of index.json");
        if (chosen.size() > ManifestResolver.MAX_DOCUMENT_SIZE) {
            throw new ImageException("the manifest in %s is too large".formatted(files.name()));
        }
        try (InputStream in = new VerifyingInputStream(open(chosen, Kind.MANIFEST),
                "the manifest in " + files.name(), chosen.digest(), chosen.size())) {
            return new Document(chosen.mediaType(), chosen.digest(), in.readAllBytes());
        }
    }

    private JsonNode choose(JsonNode manifests) {
        String wanted = tag.orElse(DEFAULT_TAG);
        List<String> tags = new ArrayList<>();
        for (JsonNode entry : manifests) {
            Optional<String> name = ManifestResolver.tag(entry);
            // Some tools write the whole reference where the specification has the tag.
            if (name.isPresent() && (name.get().equals(wanted) || name.get().endsWith(":" + wanted))) {
                return entry;
            }
            name.map(RawName::display).ifPresent(tags::add);
        }
        if (tag.isEmpty() && manifests.size() == 1) {
            return manifests.get(0);
        }
        throw new ImageException("%s has no tag '%s'; %s".formatted(files.name(), RawName.display(wanted),
                tags.isEmpty() ? "it names no tags" : "it has: " + String.join(", ", tags.stream().limit(20).toList())));
    }

    @Override
    public InputStream open(Descriptor descriptor, Kind kind) throws IOException {
        String path = "blobs/" + descriptor.digest().algorithm() + "/" + descriptor.digest().hex();
        if (!files.has(path)) {
            throw new ImageException("%s lacks %s".formatted(files.name(), path));
        }
        return files.open(path);
    }

    @Override
    public void close() throws IOException {
        files.close();
    }
}
