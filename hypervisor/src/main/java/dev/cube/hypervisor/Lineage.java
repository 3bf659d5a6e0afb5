package dev.cube.hypervisor;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What a VM started from.
 *
 * @param directory    that file names are relative to
 * @param memory       what its memory is a private mapping of; empty for a booted VM, whose memory is one file of its own
 * @param baseDisk     raw, read-only
 * @param writableDisk frozen layers below the VM's own overlays, the lowest first
 */
record Lineage(Path directory, Optional<MemoryMap> memory, String baseDisk, List<DiskFile> writableDisk) {

    static Lineage booted(Path baseDisk, Path writableDisk) {
        return new Lineage(writableDisk.getParent(), Optional.empty(), baseDisk.toString(),
                List.of(new DiskFile(writableDisk.toString(), DiskFile.RAW)));
    }

    static Lineage of(Path directory, ImageManifest manifest) {
        return new Lineage(directory, Optional.of(manifest.memory()), manifest.baseDisk(), manifest.writableDisk());
    }
}
