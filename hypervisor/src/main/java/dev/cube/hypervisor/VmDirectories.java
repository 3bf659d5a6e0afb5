package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Set;

/**
 * Where the directories of a server's VMs are.
 *
 * @param vms on the disk that images are on
 * @param run in memory (see {@link RunDirectory}), or the same as {@code vms}
 */
record VmDirectories(Path vms, Path run) {
    /** Only the owner can look into it. */
    static final FileAttribute<Set<PosixFilePermission>> OWN =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
    private static final SecureRandom RANDOM = new SecureRandom();

    /** Makes one of a new VM, which only its owner can look into. */
    VmDirectory create() throws IOException {
        byte[] id = new byte[VmDirectory.ID_LENGTH / 2];
        RANDOM.nextBytes(id);
        String name = HexFormat.of().formatHex(id);
        VmDirectory directory = new VmDirectory(vms.resolve(name), run.resolve(name));
        Files.createDirectory(directory.path(), OWN);
        if (!run.equals(vms)) {
            try {
                Files.createDirectory(directory.run(), OWN);
            } catch (IOException e) {
                directory.delete();
                throw e;
            }
        }
        return directory;
    }

    /** Leaves nothing in memory if there are no VMs within this time. */
    void close(Duration patience) {
        if (!run.equals(vms)) {
            RunDirectory.close(vms.getParent(), run, patience);
        }
    }

    /** That of a VM that is there. */
    VmDirectory of(Path path) {
        VmDirectory alone = new VmDirectory(path, path);
        // A VM that was started by a server without a place in memory has all in one.
        return Files.exists(alone.vmRecord()) ? alone : new VmDirectory(path, run.resolve(path.getFileName()));
    }
}
