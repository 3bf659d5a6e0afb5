package dev.cube.image;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Pattern;

/** The grammar of image references; that of registries is the OCI distribution specification's. */
final class ImageReferenceParser {
    private static final int MAX_LENGTH = 4096;
    private static final Pattern HOST = Pattern.compile(
            "(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]{2,45}])(?::[0-9]{1,5})?");
    private static final Pattern REPOSITORY = Pattern.compile(
            "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*");
    private static final Pattern TAG = Pattern.compile("[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}");
    private static final int MAX_REPOSITORY = 255;

    private record PathAndTag(Path path, Optional<String> tag) {}

    private ImageReferenceParser() {}

    static ImageReference parse(String text) {
        if (text.length() > MAX_LENGTH) {
            throw new ImageException("the image reference is longer than %d characters".formatted(MAX_LENGTH));
        }
        if (text.startsWith("oci:")) {
            PathAndTag layout = pathAndTag(text.substring("oci:".length()));
            return new ImageReference.Layout(layout.path(), layout.tag());
        }
        if (text.startsWith("oci-archive:")) {
            PathAndTag archive = pathAndTag(text.substring("oci-archive:".length()));
            return new ImageReference.LayoutArchive(archive.path(), archive.tag());
        }
        if (text.startsWith("docker-archive:")) {
            return new ImageReference.DockerArchive(path(text.substring("docker-archive:".length())));
        }
        return registry(text.startsWith("docker://") ? text.substring("docker://".length()) : text);
    }

    /** A tag follows the last colon behind the last slash. */
    private static PathAndTag pathAndTag(String text) {
        int colon = text.lastIndexOf(':');
        if (colon < 0 || colon < text.lastIndexOf('/')) {
            return new PathAndTag(path(text), Optional.empty());
        }
        if (colon == text.length() - 1) {
            throw new ImageException("'%s' ends in an empty tag".formatted(RawName.display(text)));
        }
        return new PathAndTag(path(text.substring(0, colon)), Optional.of(text.substring(colon + 1)));
    }

    private static Path path(String text) {
        if (text.isEmpty()) {
            throw new ImageException("the image reference names no file or directory");
        }
        try {
            return Path.of(text);
        } catch (InvalidPathException e) {
            throw new ImageException("'%s' is not a path".formatted(RawName.display(text)), e);
        }
    }

    private static ImageReference.Registry registry(String text) {
        int slash = text.indexOf('/');
        String host = slash < 0 ? "" : text.substring(0, slash);
        boolean named = host.contains(".") || host.contains(":") || host.equals("localhost");
        if (!named) {
            throw new ImageException(("image '%s' names no registry: write HOST/REPOSITORY[:TAG], oci:DIR[:TAG], "
                    + "oci-archive:FILE or docker-archive:FILE").formatted(RawName.display(text)));
        }
        if (!HOST.matcher(host).matches()) {
            throw new ImageException("'%s' is not a registry's host name".formatted(RawName.display(host)));
        }
        String rest = text.substring(slash + 1);
        int at = rest.indexOf('@');
        Optional<Digest> digest = at < 0 ? Optional.empty() : Optional.of(Digest.parse(rest.substring(at + 1)));
        String name = at < 0 ? rest : rest.substring(0, at);
        int colon = name.indexOf(':');
        String tag = colon < 0 ? "latest" : name.substring(colon + 1);
        String repository = colon < 0 ? name : name.substring(0, colon);
        if (repository.length() > MAX_REPOSITORY || !REPOSITORY.matcher(repository).matches()) {
            throw new ImageException("'%s' is not a repository: it takes lower-case letters, digits, '.', '_', '-' and '/'"
                    .formatted(RawName.display(repository)));
        }
        if (!TAG.matcher(tag).matches()) {
            throw new ImageException("'%s' is not a tag".formatted(RawName.display(tag)));
        }
        return new ImageReference.Registry(host, repository, digest.map(Digest::toString).orElse(tag));
    }
}
