package dev.cube.cubelet;

import dev.cube.image.ImageConfig;
import dev.cube.image.ImageProgress;
import java.nio.file.Path;

/**
 * Makes the disks of a template. Throws {@link dev.cube.image.ImageException}; what it has begun may be left. Calls
 * block, and are interruptible.
 */
interface TemplateDisks {
    /** Fetches an OCI image and writes its filesystem to {@code disk}. */
    ImageConfig makeBase(String reference, Path disk, ImageProgress progress);

    /** Formats an empty writable disk. */
    void makeWritable(Path disk, long bytes);
}
