package dev.cube.hypervisor;

import java.util.List;
import java.util.Optional;

/**
 * What a VM started from. All names are relative to the VM's directory, which links the files, or absolute.
 *
 * @param memory       what its memory is a private mapping of; empty for a booted VM, whose memory is one file of its own
 * @param baseDisk     raw, read-only
 * @param writableDisk frozen layers below the VM's own overlays, the lowest first
 */
record Lineage(Optional<MemoryMap> memory, String baseDisk, List<DiskFile> writableDisk) {

    static Lineage booted(String baseDisk, String writableDisk) {
        return new Lineage(Optional.empty(), baseDisk, List.of(new DiskFile(writableDisk, DiskFile.RAW)));
    }

    static Lineage of(ImageManifest manifest) {
        return new Lineage(Optional.of(manifest.memory()), manifest.baseDisk(), manifest.writableDisk());
    }

    Lineage withWritableDisk(List<DiskFile> layers) {
        return new Lineage(memory, baseDisk, layers);
    }

    boolean isBooted() {
        return memory.isEmpty();
    }
}
