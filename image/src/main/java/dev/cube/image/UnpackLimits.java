package dev.cube.image;

/**
 * What an image may cost, so that a small hostile one cannot fill the disk.
 *
 * @param maxBytes   of all layers, decompressed
 * @param maxEntries files in all layers
 */
public record UnpackLimits(long maxBytes, long maxEntries) {
    /** 64 GiB and two million files: more than the largest machine-learning images in use. */
    public static final UnpackLimits DEFAULT = new UnpackLimits(64L << 30, 2_000_000);

    public UnpackLimits {
        if (maxBytes <= 0 || maxEntries <= 0) {
            throw new IllegalArgumentException("limits must be positive");
        }
    }
}
