package dev.cube.image;

import java.nio.file.Path;

/**
 * An image's files as a disk.
 *
 * @param file           raw ext4 file system, to be attached read-only; sparse
 * @param config         how the image wants to be run
 * @param sizeBytes      size of the disk
 * @param allocatedBytes what the file takes on this machine's disk
 */
public record BaseDisk(Path file, ImageConfig config, long sizeBytes, long allocatedBytes) {}
