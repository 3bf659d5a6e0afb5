package dev.cube.hypervisor;

import java.nio.file.Path;

/**
 * A VM captured at one instant, as a directory: memory extents, device state, the frozen writable disk, and a
 * manifest. It refers to the base disk and may refer to files of the images it was derived from.
 *
 * <p>Only a machine like the one that wrote it can load it: {@code machine} names accelerator, QEMU version and
 * device layout, and {@link VmFactory#start} refuses another.
 *
 * @param directory where the image's own files and its manifest lie
 * @param shape     the shape it was captured with
 * @param baseDisk  the read-only disk below the writable one
 * @param machine   fingerprint of the machine that wrote it
 */
public record VmImage(Path directory, VmShape shape, Path baseDisk, String machine) {}
