package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** Image directories: made whole or not at all, and linked rather than copied. */
final class ImageStore {
    private ImageStore() {}

    static ImageManifest read(Path directory) {
        Path file = directory.resolve(ImageManifest.FILE);
        try {
            return JsonFiles.read(file, ImageManifest.class);
        } catch (NoSuchFileException e) {
            throw new HypervisorException("no image in " + directory, e);
        } catch (IOException e) {
            throw new HypervisorException("cannot read the image in " + directory + ": " + e.getMessage(), e);
        }
    }

    /** Fills the directory of an image, all but the manifest. */
    @FunctionalInterface
    interface Content {
        ImageManifest write(Path directory) throws IOException;
    }

    /** Where an image is made that will be at {@code directory}. A crash may leave it behind; the next attempt removes it. */
    static Path fresh(Path directory) {
        return directory.toAbsolutePath().getParent().resolve("." + directory.getFileName() + ".new");
    }

    /** Fails where something is already. */
    static void checkAbsent(Path directory) {
        if (Files.exists(directory)) {
            throw new HypervisorException("there is something already at " + directory);
        }
    }

    /** Fills a new directory with an image; the manifest, without which it is none, comes last. Nothing is synced. */
    static ImageManifest write(Path fresh, Content content) throws IOException {
        VmDirectory.deleteTree(fresh);
        boolean complete = false;
        try {
            Files.createDirectory(fresh);
            ImageManifest manifest = content.write(fresh);
            JsonFiles.write(fresh.resolve(ImageManifest.FILE), manifest);
            complete = true;
            return manifest;
        } finally {
            if (!complete) {
                VmDirectory.deleteTree(fresh);
            }
        }
    }

    /** Where a file is made that will be part of an image. As with {@link #fresh}, a crash may leave it behind. */
    static Path merged(Path directory) {
        return directory.toAbsolutePath().getParent().resolve("." + directory.getFileName() + ".merged");
    }

    /**
     * Has a merged file take the place of layers of an image, whole or not at all. Who is just linking the image's files by the
     * manifest of before links what is right, or fails because a file is missing.
     *
     * @param file is moved to its place
     */
    static void replaceLayers(Path directory, ImageManifest manifest, LayerMerge merge, Path file) throws IOException {
        Files.move(file, directory.resolve(merge.top().file()), StandardCopyOption.ATOMIC_MOVE);
        sync(directory);
        JsonFiles.writeSynced(directory.resolve(ImageManifest.FILE), manifest.withWritableDisk(merge.result()));
        sync(directory);
        merge.removeOthers(directory);
    }

    /** Waits until all that an image consists of is on disk, except for its base disk, which no VM writes. */
    static void sync(Path directory, ImageManifest manifest) throws IOException {
        for (String file : manifest.memory().files()) {
            sync(directory.resolve(file));
        }
        for (DiskFile disk : manifest.writableDisk()) {
            sync(directory.resolve(disk.file()));
        }
        sync(directory.resolve(manifest.deviceState()));
        sync(directory.resolve(ImageManifest.FILE));
        sync(directory);
    }

    /** Has an image on disk and in its place when it returns; where that fails, nothing is left of it. */
    static void publish(Path fresh, Path directory, ImageManifest manifest) throws IOException {
        boolean published = false;
        try {
            sync(fresh, manifest);
            move(fresh, directory);
            published = true;
        } finally {
            if (!published) {
                VmDirectory.deleteTree(fresh);
            }
        }
    }

    /** Moves a synced image to its place; where that fails, it is where it was. */
    static void move(Path fresh, Path directory) throws IOException {
        checkAbsent(directory);
        Files.move(fresh, directory, StandardCopyOption.ATOMIC_MOVE);
        try {
            sync(directory.toAbsolutePath().getParent());
        } catch (IOException e) {
            Files.move(directory, fresh, StandardCopyOption.ATOMIC_MOVE);
            throw e;
        }
    }

    /**
     * Links what a VM that is based on an image needs for as long as it lives into the VM's directory, so that the image
     * may be removed meanwhile. What is there of an earlier image stays.
     */
    static void link(Path image, ImageManifest manifest, Path directory) throws IOException {
        // First the manifest: with one that is new, should layers be merged meanwhile, the merged file is there already.
        Path fresh = directory.resolve(ImageManifest.FILE + ".new");
        Files.deleteIfExists(fresh);
        Files.createLink(fresh, image.resolve(ImageManifest.FILE));
        linkFiles(image, manifest, directory);
        Files.move(fresh, directory.resolve(ImageManifest.FILE), StandardCopyOption.ATOMIC_MOVE);
    }

    /** Links all but the manifest. */
    static void linkFiles(Path image, ImageManifest manifest, Path directory) throws IOException {
        for (String file : manifest.memory().files()) {
            linkSame(image, file, directory);
        }
        linkDisks(image, manifest, directory);
    }

    static void linkDisks(Path image, ImageManifest manifest, Path directory) throws IOException {
        for (DiskFile disk : manifest.writableDisk()) {
            linkSame(image, disk.file(), directory);
        }
        linkSame(image, manifest.baseDisk(), directory);
    }

    /** Absolute names are links that could not be made. */
    private static void linkSame(Path image, String file, Path directory) throws IOException {
        if (Path.of(file).isAbsolute()) {
            return;
        }
        try {
            Files.createLink(directory.resolve(file), image.resolve(file));
        } catch (FileAlreadyExistsException e) {
            // It is there of an earlier image.
        }
    }

    /**
     * Makes a file part of an image, or a VM's own.
     *
     * @return the name by which to refer to it from within the directory
     */
    static String adopt(Path file, String name, Path directory) throws IOException {
        Path target = directory.resolve(name);
        if (Files.exists(target)) {
            return name;
        }
        try {
            Files.createLink(target, file);
            return name;
        } catch (FileSystemException | UnsupportedOperationException e) {
            // Another file system, or one without hard links, or one whose limit of links is reached.
            if (!Files.isReadable(file)) {
                throw new IOException("a file that the image needs is gone: " + file, e);
            }
            return file.toAbsolutePath().toString();
        }
    }

    /** Waits until a file or a directory is on disk. */
    static void sync(Path path) throws IOException {
        StandardOpenOption mode = Files.isDirectory(path) ? StandardOpenOption.READ : StandardOpenOption.WRITE;
        try (FileChannel channel = FileChannel.open(path, mode)) {
            channel.force(true);
        }
    }
}
