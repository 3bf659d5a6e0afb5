package dev.cube.image;

import com.github.luben.zstd.Zstd;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPOutputStream;

/** An image made by a test: blobs by digest, and what names them. */
final class TestImage {
    enum Compression { NONE, GZIP, ZSTD }

    final Map<String, byte[]> blobs = new LinkedHashMap<>();
    private final List<String> layers = new ArrayList<>();
    private final List<String> diffIds = new ArrayList<>();
    private String architecture = "amd64";
    private String config = "{}";

    TestImage layer(TarBuilder tar, Compression compression) {
        byte[] plain = tar.build();
        byte[] stored = compress(plain, compression);
        String suffix = switch (compression) {
            case NONE -> "";
            case GZIP -> "+gzip";
            case ZSTD -> "+zstd";
        };
        diffIds.add('"' + Digest.sha256(plain).toString() + '"');
        layers.add(put("application/vnd.oci.image.layer.v1.tar" + suffix, stored));
        return this;
    }

    TestImage layer(TarBuilder tar) {
        return layer(tar, Compression.NONE);
    }

    TestImage architecture(String name) {
        architecture = name;
        return this;
    }

    /** The {@code config} object of the image's configuration, as JSON. */
    TestImage config(String json) {
        config = json;
        return this;
    }

    /** Adds the manifest; returns its descriptor. */
    String manifest() {
        String configDescriptor = put("application/vnd.oci.image.config.v1+json", """
                {"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}}"""
                .formatted(architecture, config, String.join(",", diffIds)).getBytes(StandardCharsets.UTF_8));
        String descriptor = put(ManifestResolver.OCI_MANIFEST, """
                {"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}"""
                .formatted(ManifestResolver.OCI_MANIFEST, configDescriptor, String.join(",", layers))
                .getBytes(StandardCharsets.UTF_8));
        return descriptor.replaceFirst("}$", ",\"platform\":{\"os\":\"linux\",\"architecture\":\"" + architecture + "\"}}");
    }

    /** Adds an index of this image's manifest and those of others, whose blobs become this image's. */
    String index(TestImage... others) {
        List<String> manifests = new ArrayList<>();
        for (TestImage other : others) {
            manifests.add(other.manifest());
            blobs.putAll(other.blobs);
        }
        manifests.add(manifest());
        return put(ManifestResolver.OCI_INDEX, "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"manifests\":[%s]}"
                .formatted(ManifestResolver.OCI_INDEX, String.join(",", manifests)).getBytes(StandardCharsets.UTF_8));
    }

    Path writeLayout(Path directory) {
        return writeLayout(directory, manifest(), "latest");
    }

    Path writeLayout(Path directory, String descriptor, String tag) {
        try {
            Files.createDirectories(directory);
            for (Map.Entry<String, byte[]> file : layoutFiles(descriptor, tag).entrySet()) {
                Path path = directory.resolve(file.getKey());
                Files.createDirectories(path.getParent());
                Files.write(path, file.getValue());
            }
            return directory;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    Map<String, byte[]> layoutFiles(String descriptor, String tag) {
        Map<String, byte[]> files = new LinkedHashMap<>();
        files.put("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}".getBytes(StandardCharsets.UTF_8));
        String tagged = descriptor.replaceFirst("}$",
                ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" + tag + "\"}}");
        files.put("index.json", "{\"schemaVersion\":2,\"manifests\":[%s]}".formatted(tagged)
                .getBytes(StandardCharsets.UTF_8));
        blobs.forEach((digest, content) -> files.put("blobs/" + digest.replace(':', '/'), content));
        return files;
    }

    /** As {@code docker save} writes it: layers by file name, one of them by way of a symbolic link. */
    byte[] dockerArchive() {
        manifest();
        TarBuilder tar = new TarBuilder();
        List<String> paths = new ArrayList<>();
        for (int i = 0; i < layers.size(); i++) {
            byte[] content = blobs.get(layers.get(i).replaceAll(".*\"digest\":\"([^\"]*)\".*", "$1"));
            tar.raw("store" + i + "/layer.tar", (byte) '0', content);
            tar.symbolicLink("id" + i + "/layer.tar", "../store" + i + "/layer.tar");
            paths.add("\"id" + i + "/layer.tar\"");
        }
        String configDigest = blobs.keySet().stream().skip(layers.stream().distinct().count()).findFirst().orElseThrow();
        tar.raw("config.json", (byte) '0', blobs.get(configDigest));
        return tar.file("manifest.json", "[{\"Config\":\"config.json\",\"RepoTags\":[\"a:b\"],\"Layers\":[%s]}]"
                .formatted(String.join(",", paths))).build();
    }

    String put(String mediaType, byte[] content) {
        String digest = Digest.sha256(content).toString();
        blobs.put(digest, content);
        return "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%d}".formatted(mediaType, digest, content.length);
    }

    static byte[] tarOf(Map<String, byte[]> files) {
        TarBuilder tar = new TarBuilder();
        files.forEach((name, content) -> tar.raw(name, (byte) '0', content));
        return tar.build();
    }

    static byte[] compress(byte[] plain, Compression compression) {
        return switch (compression) {
            case NONE -> plain;
            case GZIP -> gzip(plain);
            case ZSTD -> Zstd.compress(plain);
        };
    }

    /** Two members, as parallel compressors write them. */
    private static byte[] gzip(byte[] plain) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        int half = plain.length / 2;
        for (byte[] part : List.of(Arrays.copyOf(plain, half),
                Arrays.copyOfRange(plain, half, plain.length))) {
            try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
                gzip.write(part);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return out.toByteArray();
    }
}
