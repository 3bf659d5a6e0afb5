package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
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
            if ((int) Files.getAttribute(home, "unix:uid") >= FIRST_ORDINARY_USER || isInMemory(home)) {
                return Optional.empty();
            }
            if (Files.isSymbolicLink(link)) {
                Path known = Files.readSymbolicLink(link);
                if (parents.contains(known.getParent()) && isFit(known.getParent()) && make(known, home)) {
                    return Optional.of(known);
                }
                Files.delete(link);
            }
            for (Path parent : parents) {
                if (isFit(parent)) {
                    byte[] number = new byte[8];
                    RANDOM.nextBytes(number);
                    Path directory = parent.resolve("cube-" + HexFormat.of().formatHex(number));
                    // First, so that there is never one that nobody knows of.
                    Files.createSymbolicLink(link, directory);
                    if (make(directory, home)) {
                        return Optional.of(directory);
                    }
                    Files.delete(link);
                }
            }
        } catch (IOException | RuntimeException e) {
            LOG.warn("sockets of VMs are not kept in memory: {}", e.toString());
        }
        return Optional.empty();
    }

    /** Removes it if it is empty: where VMs go on, a later server will want it. */
    static void close(Path home, Path directory) {
        try {
            Files.deleteIfExists(directory);
            Files.deleteIfExists(home.resolve(LINK));
        } catch (DirectoryNotEmptyException e) {
            LOG.debug("{} is still in use", directory);
        } catch (IOException e) {
            LOG.warn("cannot remove {}: {}", directory, e.toString());
        }
    }

    private static boolean isFit(Path parent) throws IOException {
        if (!Files.isDirectory(parent) || !Files.isWritable(parent)) {
            return false;
        }
        return isInMemory(parent) && Files.getFileStore(parent).getUsableSpace() >= LEAST_BYTES;
    }

    private static boolean isInMemory(Path directory) throws IOException {
        return Files.getFileStore(directory).type().equals("tmpfs");
    }

    /** Whether the directory is there and ours: others may make one in {@code /dev/shm} too. */
    private static boolean make(Path directory, Path home) throws IOException {
        try {
            Files.createDirectory(directory, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            return true;
        } catch (FileAlreadyExistsException e) {
            return Files.isDirectory(directory, LinkOption.NOFOLLOW_LINKS)
                    && Files.getOwner(directory, LinkOption.NOFOLLOW_LINKS).equals(Files.getOwner(home));
        }
    }
}
