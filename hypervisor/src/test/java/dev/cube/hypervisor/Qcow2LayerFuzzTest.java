package dev.cube.hypervisor;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** QEMU may have been taken over by its guest: whatever it leaves as an overlay is merged, or refused, and nothing is left. */
class Qcow2LayerFuzzTest {
    private static final long DISK = 1 << 20;
    /** Of the disk's one L1 entry; inputs have it behind the header, and then the beginning of an L2 table. */
    private static final int L1 = Long.BYTES;

    @FuzzTest
    void anyFileIsALayerOrRefused(byte[] content) throws IOException {
        Path directory = Files.createTempDirectory("qcow2");
        Path layer = directory.resolve("layer");
        Path merged = directory.resolve("merged");
        try {
            Files.write(layer, spread(content));
            try {
                Qcow2Merge.write(List.of(layer), merged, "below", DiskFile.RAW, DISK);
                if (Files.size(merged) > DISK + 16 * Qcow2Header.CLUSTER) {
                    throw new AssertionError("a layer of a small disk became a file of " + Files.size(merged));
                }
                Qcow2Layer.open(merged, DISK).close();
            } catch (IOException e) {
                if (Files.exists(merged)) {
                    throw new AssertionError("something is left of a merge that failed", e);
                }
            }
        } finally {
            VmDirectory.deleteTree(directory);
        }
    }

    /** Puts each part into a cluster of its own, where the inputs' headers look for it. */
    private static byte[] spread(byte[] content) {
        if (content.length < Qcow2Header.LENGTH + L1) {
            return content;
        }
        byte[] file = new byte[3 * Qcow2Header.CLUSTER];
        int table = Qcow2Header.LENGTH + L1;
        System.arraycopy(content, 0, file, 0, Qcow2Header.LENGTH);
        System.arraycopy(content, Qcow2Header.LENGTH, file, Qcow2Header.CLUSTER, L1);
        System.arraycopy(content, table, file, 2 * Qcow2Header.CLUSTER,
                Math.min(content.length - table, Qcow2Header.CLUSTER));
        return file;
    }
}
