package dev.cube.image;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/**
 * Makes base disks out of OCI images. Thread-safe. Must run as root, because files are given their owners and devices are
 * made; whatever an image contains, nothing outside the directory of the disk being made is touched.
 */
public final class BaseDiskBuilder {
    private static final int DIRECTORY_MODE = 0755;
    /** What the guest's agent mounts over or writes into; only {@code /tmp} is open to all. */
    private static final Map<String, Integer> MOUNT_POINTS = mountPoints();

    private final UnpackLimits limits;
    private final RegistryCredentials credentials;

    public BaseDiskBuilder(UnpackLimits limits, RegistryCredentials credentials) {
        this.limits = limits;
        this.credentials = credentials;
    }

    /**
     * Makes the base disk of an image. Takes seconds to minutes; can be interrupted.
     *
     * @param reference {@code oci:DIR[:TAG]}, {@code oci-archive:FILE[:TAG]}, {@code docker-archive:FILE} or
     *                  {@code HOST/REPOSITORY[:TAG][@DIGEST]}
     * @param target    the file to make, in an existing directory with room for the unpacked image and the disk; a file
     *                  that is there is replaced when the new one is whole, and otherwise stays
     * @throws ImageException with the reason; nothing is left behind
     */
    public BaseDisk build(String reference, Path target, ImageProgress progress) {
        Path file = target.toAbsolutePath();
        ImageReference parsed = ImageReference.parse(reference);
        try (Staging staging = Staging.beside(file);
                OpenImage opened = OpenImage.open(parsed, staging.directory(), limits, credentials)) {
            return build(opened.image(), staging, file, progress);
        } catch (IOException e) {
            throw new ImageException("cannot build a disk from %s: %s".formatted(reference, describe(e)), e);
        }
    }

    private BaseDisk build(Image image, Staging staging, Path target, ImageProgress progress) throws IOException {
        progress.line("image " + image.config().digest());
        Path root = Files.createDirectory(staging.directory().resolve("root"));
        Path trash = Files.createDirectory(staging.directory().resolve("trash"));
        try (RootedTree tree = new RootedTree(root, trash)) {
            unpack(image, tree, progress);
            addMountPoints(tree);
        }
        progress.line("writing the disk");
        Path disk = staging.directory().resolve("disk");
        UUID uuid = UUID.nameUUIDFromBytes(image.config().digest().getBytes(StandardCharsets.US_ASCII));
        Ext4.createFrom(root, disk, uuid);
        BaseDisk result = new BaseDisk(target, image.config(), Files.size(disk), allocated(disk));
        Files.move(disk, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        progress.line("disk of %d MiB, %d MiB used".formatted(
                result.sizeBytes() >> 20, result.allocatedBytes() >> 20));
        return result;
    }

    private void unpack(Image image, RootedTree tree, ImageProgress progress) throws IOException {
        List<Image.Layer> layers = image.layers();
        try (LayerUnpacker unpacker = new LayerUnpacker(tree, new UnpackBudget(limits))) {
            for (int i = 0; i < layers.size(); i++) {
                Image.Layer layer = layers.get(i);
                progress.line("layer %d of %d: %.1f MB".formatted(i + 1, layers.size(), layer.size() / 1e6));
                if (layer.size() > limits.maxBytes()) {
                    throw new ImageException("%s is larger than %d MiB".formatted(
                            layer.name(), limits.maxBytes() >> 20));
                }
                try (InputStream in = new BufferedInputStream(layer.open(), 1 << 16)) {
                    unpacker.apply(in);
                }
            }
        }
    }

    private static void addMountPoints(RootedTree tree) throws IOException {
        for (Map.Entry<String, Integer> point : MOUNT_POINTS.entrySet()) {
            int slash = point.getKey().lastIndexOf('/');
            RootedTree.Directory parent = tree.directory(slash < 0 ? "" : point.getKey().substring(0, slash));
            String name = point.getKey().substring(slash + 1);
            var existing = tree.status(parent, name);
            if (existing.isPresent() && existing.get().isDirectory()) {
                continue;
            }
            if (existing.isPresent()) {
                tree.remove(parent, name, existing.get());
            }
            Posix.makeDirectory(parent.fd(), name, DIRECTORY_MODE);
            Posix.changeMode(parent.fd(), name, point.getValue());
            Posix.changeTime(parent.fd(), name, TarEntry.Time.EPOCH);
        }
    }

    private static Map<String, Integer> mountPoints() {
        Map<String, Integer> points = new LinkedHashMap<>();
        for (String path : List.of("dev", "dev/pts", "dev/shm", "proc", "run", "sys", "etc")) {
            points.put(path, DIRECTORY_MODE);
        }
        points.put("tmp", 01777);
        return points;
    }

    private static long allocated(Path file) throws IOException {
        return Posix.allocatedBytes(RawName.of(file));
    }

    private static String describe(IOException e) {
        return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    }
}
