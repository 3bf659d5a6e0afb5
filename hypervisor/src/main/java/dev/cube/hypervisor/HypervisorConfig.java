package dev.cube.hypervisor;

import java.nio.file.Path;
import java.util.Objects;

/**
 * What a {@link QemuHypervisor} works with.
 *
 * @param home           absolute directory of this node's VMs; each lives in {@code vms/<id>} below it. It should be on
 *                       the file system that images are on: then images and VMs share files by hard links
 * @param artifacts      directory with {@code vmlinux} or {@code vmlinuz}, {@code initramfs.cpio},
 *                       {@code libcubemem.so} and, where it was made, {@code absent}
 * @param qemu           name or path of QEMU
 * @param accelerator    what to run guests with
 * @param blanksPerShape how many blanks are kept ready for each shape in use; where VMs are not forked, {@code forksReady} if
 *                       that is more
 * @param shapesKept     for how many shapes blanks are kept; those used last
 * @param forksReady     how many forks of each warm parent are kept ready
 * @param liveFork       whether VMs are forked from warm parents where the accelerator allows it
 */
public record HypervisorConfig(Path home, Path artifacts, String qemu, AcceleratorChoice accelerator,
        int blanksPerShape, int shapesKept, int forksReady, LiveForkChoice liveFork) {

    public HypervisorConfig {
        Objects.requireNonNull(qemu);
        Objects.requireNonNull(accelerator);
        Objects.requireNonNull(liveFork);
        if (!home.isAbsolute() || !artifacts.isAbsolute()) {
            throw new IllegalArgumentException("home and artifacts must be absolute paths");
        }
        if (blanksPerShape < 0 || shapesKept < 0 || forksReady < 0) {
            throw new IllegalArgumentException("pool sizes must not be negative");
        }
    }

    /** Twelve blanks for each of four shapes, 24 forks of each parent, Debian's QEMU, and the accelerator that works. */
    public static HypervisorConfig of(Path home, Path artifacts) {
        return new HypervisorConfig(home, artifacts, "qemu-system-x86_64", AcceleratorChoice.AUTO, 12, 4, 24,
                LiveForkChoice.ON);
    }

    /** Blanks that are kept ready for each shape in use. */
    int blanks(boolean forking) {
        return forking ? blanksPerShape : Math.max(blanksPerShape, forksReady);
    }

    public HypervisorConfig withAccelerator(AcceleratorChoice choice) {
        return new HypervisorConfig(home, artifacts, qemu, choice, blanksPerShape, shapesKept, forksReady,
                liveFork);
    }

    public HypervisorConfig withPool(int blanks, int shapes, int forks) {
        return new HypervisorConfig(home, artifacts, qemu, accelerator, blanks, shapes, forks, liveFork);
    }

    public HypervisorConfig withQemu(String program) {
        return new HypervisorConfig(home, artifacts, program, accelerator, blanksPerShape, shapesKept, forksReady,
                liveFork);
    }

    public HypervisorConfig withLiveFork(LiveForkChoice choice) {
        return new HypervisorConfig(home, artifacts, qemu, accelerator, blanksPerShape, shapesKept, forksReady,
                choice);
    }
}
