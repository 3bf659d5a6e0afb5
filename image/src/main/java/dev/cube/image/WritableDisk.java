package dev.cube.image;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.UUID;

/**
 * The empty disk that every sandbox of a template starts its writable layer from. It is never written itself: each
 * sandbox has a copy-on-write overlay over it. Takes a few hundred KiB, whatever its size.
 */
public final class WritableDisk {
    /** 16 MiB. */
    public static final long MIN_BYTES = 16L << 20;
    /** 4 TiB. */
    public static final long MAX_BYTES = 4L << 40;

    private WritableDisk() {}

    /**
     * Makes an empty ext4 file system in a raw sparse file.
     *
     * @param target the file to make or to replace, in an existing directory
     * @param bytes  its size, rounded down to 4 KiB, from {@link #MIN_BYTES} to {@link #MAX_BYTES}
     * @throws ImageException with the reason; nothing is left behind
     */
    public static void create(Path target, long bytes) {
        if (bytes < MIN_BYTES || bytes > MAX_BYTES) {
            throw new ImageException("the writable layer must have 16 MiB to 4 TiB, not %d bytes".formatted(bytes));
        }
        Path file = target.toAbsolutePath();
        try (Staging staging = Staging.beside(file)) {
            Path disk = staging.directory().resolve("disk");
            Ext4.createEmpty(disk, bytes, UUID.randomUUID());
            Files.move(disk, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw new ImageException("cannot make the writable disk %s: %s".formatted(target, e.getMessage()), e);
        }
    }
}
