package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Removes what an earlier server left behind: blanks, VMs that were only half made, directories of dead VMs. */
final class Leftovers {
    private static final Logger LOG = LoggerFactory.getLogger(Leftovers.class);

    private Leftovers() {}

    /** Removes processes and directories of all VMs but those to keep. A QEMU is known by its working directory. */
    static void remove(VmDirectories vms, Set<String> keep) {
        List<ProcessHandle> processes = ProcessHandle.allProcesses()
                .filter(process -> vmOf(process.pid(), vms.vms()).filter(id -> !keep.contains(id)).isPresent())
                .toList();
        // All at once: Java notices the end of a process that is not its child only after seconds.
        processes.forEach(process -> {
            LOG.info("ending the leftover process {}", process.pid());
            process.destroyForcibly();
        });
        processes.forEach(process -> process.onExit().join());
        removeDirectories(vms.vms(), keep);
        removeDirectories(vms.run(), keep);
    }

    private static void removeDirectories(Path parent, Set<String> keep) {
        try (var directories = Files.newDirectoryStream(parent)) {
            for (Path directory : directories) {
                if (!keep.contains(directory.getFileName().toString())) {
                    LOG.info("removing the leftover directory {}", directory);
                    VmDirectory.deleteTree(directory);
                }
            }
        } catch (IOException e) {
            throw new HypervisorException("cannot remove what is left in " + parent + ": " + e, e);
        }
    }

    private static Optional<String> vmOf(long pid, Path vms) {
        try {
            Path cwd = Files.readSymbolicLink(Path.of("/proc/" + pid + "/cwd"));
            return cwd.startsWith(vms) && cwd.getNameCount() == vms.getNameCount() + 1
                    ? Optional.of(cwd.getFileName().toString()) : Optional.empty();
        } catch (IOException | RuntimeException e) {
            return Optional.empty(); // gone, or not ours to look at
        }
    }
}
