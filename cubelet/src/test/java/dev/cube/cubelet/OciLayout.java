package dev.cube.cubelet;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A small OCI image, made of a few of this machine's programs and the libraries that they want. Format: OCI image layout
 * and image specification 1.0.
 */
public final class OciLayout {
    private static final Pattern LIBRARY = Pattern.compile("(/\\S+) \\(0x");

    private final Path directory;
    private final Path blobs;

    private OciLayout(Path directory) {
        this.directory = directory;
        this.blobs = directory.resolve("blobs/sha256");
    }

    /**
     * Makes the image.
     *
     * @param programs names of programs in {@code /usr/bin}
     * @param config   the members {@code config} of its configuration, as JSON
     */
    public static Path make(Path directory, List<String> programs, String config) throws IOException, InterruptedException {
        OciLayout layout = new OciLayout(directory);
        Files.createDirectories(layout.blobs);
        Path root = Files.createDirectories(directory.resolve("root"));
        for (String name : List.of("bin", "etc", "tmp", "root")) {
            Files.createDirectory(root.resolve(name));
        }
        Files.writeString(root.resolve("etc/passwd"),
                "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/tmp:/bin/sh\n");
        Files.writeString(root.resolve("etc/group"), "root:x:0:\nworker:x:1000:\n");
        for (String program : programs) {
            copy(root, Path.of("/usr/bin", program), root.resolve("bin").resolve(program));
        }
        String layer = layout.addLayer(root);
        layout.finish(layer, config);
        return directory;
    }

    private static void copy(Path root, Path program, Path target) throws IOException, InterruptedException {
        Files.copy(program.toRealPath(), target, StandardCopyOption.COPY_ATTRIBUTES);
        Matcher libraries = LIBRARY.matcher(output("ldd", program.toString()));
        while (libraries.find()) {
            Path library = Path.of(libraries.group(1));
            Path copied = root.resolve(library.toString().substring(1));
            Files.createDirectories(copied.getParent());
            Files.copy(library.toRealPath(), copied, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    private String addLayer(Path root) throws IOException, InterruptedException {
        Path tar = directory.resolve("layer.tar");
        output("tar", "-C", root.toString(), "--owner=0", "--group=0", "-cf", tar.toString(), ".");
        String digest = digest(Files.readAllBytes(tar));
        Files.move(tar, blobs.resolve(digest));
        return digest;
    }

    private void finish(String layer, String config) throws IOException {
        String configuration = addBlob("""
                {"architecture": "amd64", "os": "linux", "config": %s,
                 "rootfs": {"type": "layers", "diff_ids": ["sha256:%s"]}}""".formatted(config, layer));
        String manifest = addBlob("""
                {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                 "config": {"mediaType": "application/vnd.oci.image.config.v1+json", %s},
                 "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", %s}]}"""
                .formatted(reference(configuration), reference(layer)));
        Files.writeString(directory.resolve("index.json"), """
                {"schemaVersion": 2, "manifests":
                 [{"mediaType": "application/vnd.oci.image.manifest.v1+json", %s}]}""".formatted(reference(manifest)));
        Files.writeString(directory.resolve("oci-layout"), "{\"imageLayoutVersion\": \"1.0.0\"}");
    }

    private String addBlob(String json) throws IOException {
        byte[] bytes = json.getBytes(StandardCharsets.UTF_8);
        String digest = digest(bytes);
        Files.write(blobs.resolve(digest), bytes);
        return digest;
    }

    private String reference(String digest) throws IOException {
        return "\"digest\": \"sha256:%s\", \"size\": %d".formatted(digest, Files.size(blobs.resolve(digest)));
    }

    private static String digest(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String output(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) {
            throw new IOException(String.join(" ", command) + ": " + output);
        }
        return output;
    }
}
