package dev.cube.hypervisor;

import java.nio.file.Files;
import java.nio.file.Path;

/** The files that are built beside this program and that VMs are made with. */
record Artifacts(Path kernel, Path initramfs, Path memoryLibrary) {

    static Artifacts in(Path directory) {
        return new Artifacts(
                kernelIn(directory),
                require(directory.resolve("initramfs.cpio"), "the guest's initramfs"),
                require(directory.resolve("libcubemem.so"), "the memory library"));
    }

    static Path kernelIn(Path directory) {
        Path uncompressed = directory.resolve("vmlinux");
        return Files.isReadable(uncompressed)
                ? uncompressed : require(directory.resolve("vmlinuz"), "a guest kernel (vmlinux or vmlinuz)");
    }

    private static Path require(Path file, String what) {
        if (!Files.isReadable(file)) {
            throw new HypervisorException("%s is missing: %s; build the artifacts first".formatted(what, file));
        }
        return file;
    }
}
