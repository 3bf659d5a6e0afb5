package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A directory in memory for the small files of a home directory's VMs that are of no use after the machine's end: sockets, logs
 * and records. To make a file there takes 10 µs; on a disk it is 25, and 250 on an ext4 without a journal, which looks at each
 * file that was removed within the last minute before it makes another.
 *
 * <p>{@code run} in the home directory is a link to it.
 */
final class RunDirectory {
    private static final Logger LOG = LoggerFactory.getLogger(RunDirectory.class);
    private static final String LINK = "run";
    private static final Path SELF = Path.of("/proc/self");
    private static final List<Path> PARENTS = List.of(Path.of("/run"), Path.of("/dev/shm"));
    /** Of other users systemd removes what they have in {@code /dev/shm} when they log out, though their programs run on. */
    private static final int FIRST_ORDINARY_USER = 1000;
    /** For some hundred bytes and six files of each VM, and logs. */
    private static final long LEAST_BYTES = 32 << 20;
    private static final SecureRandom RANDOM = new SecureRandom();

    private RunDirectory() {}

    /** Empty where there is no fit place in memory. */
    static Optional<Path> open(Path home) {
        return open(home, PARENTS);
    }

    static Optional<Path> open(Path home, List<Path> parents) {
        Path link = home.resolve(LINK);
        try {
            if ((int) Files.getAttribute(SELF, "unix:uid") >= FIRST_ORDINARY_USER) {
                return Optional.empty();
            }
            List<Path> fit = fit(parents);
            if (Files.isSymbolicLink(link)) {
                Path known = Files.readSymbolicLink(link);
                // One that is there may have running VMs in it, however little else fits.
                if (isOurs(known) || fit.contains(known.getParent()) && make(known)) {
                    return Optional.of(known);
                }
                Files.delete(link);
            }
            for (Path parent : fit) {
                byte[] number = new byte[8];
                RANDOM.nextBytes(number);
                Path directory = parent.resolve("cube-" + HexFormat.of().formatHex(number));
                // First, so that there is never one that nobody knows of.
                Files.createSymbolicLink(link, directory);
                if (make(directory)) {
                    return Optional.of(directory);
                }
                Files.delete(link);
            }
        } catch (IOException | RuntimeException e) {
            LOG.warn("sockets of VMs are not kept in memory: {}", e.toString());
        }
        return Optional.empty();
    }

    /** Removes it if it is empty within this time: where VMs go on, a later server will want it. */
    static void close(Path home, Path directory, Duration patience) {
        long deadline = System.nanoTime() + patience.toNanos();
        try {
            while (!isRemoved(directory)) {
                if (System.nanoTime() >= deadline) {
                    LOG.debug("{} is still in use", directory);
                    return;
                }
                Thread.sleep(10);
            }
            Files.deleteIfExists(home.resolve(LINK));
        } catch (IOException e) {
            LOG.warn("cannot remove {}: {}", directory, e.toString());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static boolean isRemoved(Path directory) throws IOException {
        try {
            Files.deleteIfExists(directory);
            return true;
        } catch (DirectoryNotEmptyException e) {
            return false;
        }
    }

    /** Their real paths, by which the memory library knows open files. */
    private static List<Path> fit(List<Path> parents) throws IOException {
        List<Path> result = new ArrayList<>();
        for (Path parent : parents) {
            if (Files.isDirectory(parent) && Files.isWritable(parent) && isInMemory(parent)
                    && Files.getFileStore(parent).getUsableSpace() >= LEAST_BYTES) {
                result.add(parent.toRealPath());
            }
        }
        return result;
    }

    private static boolean isInMemory(Path directory) throws IOException {
        return Files.getFileStore(directory).type().equals("tmpfs");
    }

    /** False where there is something of that name: others may make it in {@code /dev/shm} too. */
    private static boolean make(Path directory) throws IOException {
        try {
            Files.createDirectory(directory, VmDirectories.OWN);
            return true;
        } catch (FileAlreadyExistsException e) {
            return false;
        }
    }

    private static boolean isOurs(Path directory) throws IOException {
        return Files.isDirectory(directory, LinkOption.NOFOLLOW_LINKS) && isInMemory(directory)
                && Files.getOwner(directory, LinkOption.NOFOLLOW_LINKS).equals(Files.getOwner(SELF));
    }
}
