package dev.cube.cubelet;

import dev.cube.image.BaseDiskBuilder;
import dev.cube.image.ImageConfig;
import dev.cube.image.ImageProgress;
import dev.cube.image.WritableDisk;
import java.nio.file.Path;

/** Disks with ext4 filesystems, made by the image module. */
final class ImageDisks implements TemplateDisks {
    private final BaseDiskBuilder builder;

    ImageDisks(BaseDiskBuilder builder) {
        this.builder = builder;
    }

    @Override
    public ImageConfig makeBase(String reference, Path disk, ImageProgress progress) {
        return builder.build(reference, disk, progress).config();
    }

    @Override
    public void makeWritable(Path disk, long bytes) {
        WritableDisk.create(disk, bytes);
    }
}
