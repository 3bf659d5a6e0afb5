package dev.cube.hypervisor;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The files that are built beside this program and that VMs are made with.
 *
 * @param absentLibraries directory of what stands in for libraries that QEMU is linked with and has no use for, if there is one
 */
record Artifacts(Path kernel, Path initramfs, Path memoryLibrary, Optional<Path> absentLibraries) {
    private static final Logger LOG = LoggerFactory.getLogger(Artifacts.class);

    static Artifacts in(Path directory) {
        return new Artifacts(
                kernelIn(directory),
                require(directory.resolve("initramfs.cpio"), "the guest's initramfs"),
                require(directory.resolve("libcubemem.so"), "the memory library"),
                Optional.of(directory.resolve("absent")).filter(Files::isDirectory));
    }

    /** What a QEMU starts with: where it is not the one that libraries were made to be absent for, it loads all of its own. */
    Artifacts fitFor(String qemu) {
        try {
            absentLibraries.ifPresent(libraries -> QemuVersion.of(qemu, libraries));
            return this;
        } catch (HypervisorException e) {
            LOG.warn("QEMU is given all of its libraries, which makes VMs slower to start; ./cube build helps where it was updated: {}",
                    e.getMessage());
            return new Artifacts(kernel, initramfs, memoryLibrary, Optional.empty());
        }
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
