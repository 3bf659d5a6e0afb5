package dev.cube.hypervisor;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
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
    private static final Duration START_TIMEOUT = Duration.ofSeconds(30);

    static Artifacts in(Path directory) {
        return new Artifacts(
                kernelIn(directory),
                require(directory.resolve("initramfs.cpio"), "the guest's initramfs"),
                require(directory.resolve("libcubemem.so"), "the memory library"),
                Optional.of(directory.resolve("absent")).filter(Files::isDirectory));
    }

    /** What a QEMU starts with: where it is not the one that libraries were made to be absent for, it loads all of its own. */
    Artifacts fitFor(String qemu) {
        Optional<String> problem = absentLibraries.flatMap(libraries -> problemOf(qemu, libraries));
        if (problem.isEmpty()) {
            return this;
        }
        LOG.warn("QEMU is given all of its libraries, which makes VMs slower to start; ./cube build helps where it was updated: {}",
                problem.get());
        return new Artifacts(kernel, initramfs, memoryLibrary, Optional.empty());
    }

    /** Has a QEMU bind all functions, set up a machine and end. */
    private static Optional<String> problemOf(String qemu, Path libraries) {
        ProcessBuilder builder = new ProcessBuilder(
                qemu, "-M", "microvm", "-nodefaults", "-display", "none", "-S", "-monitor", "stdio").redirectErrorStream(true);
        builder.environment().put("LD_LIBRARY_PATH", libraries.toString());
        try {
            Process process = builder.start();
            try (OutputStream monitor = process.getOutputStream()) {
                monitor.write("quit\n".getBytes(StandardCharsets.US_ASCII));
            } catch (IOException e) {
                LOG.debug("QEMU had ended before it was told to: {}", e.getMessage());
            }
            if (!process.waitFor(START_TIMEOUT)) {
                process.destroyForcibly();
                return Optional.of("it does not end");
            }
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return process.exitValue() == 0 ? Optional.empty()
                    : Optional.of("exit status %d; %s".formatted(process.exitValue(), output.strip()));
        } catch (IOException e) {
            return Optional.of(e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Optional.of("interrupted");
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
