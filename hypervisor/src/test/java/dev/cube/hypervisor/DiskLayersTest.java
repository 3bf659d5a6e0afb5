package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What can be told of a VM's layers without its QEMU. */
class DiskLayersTest {
    private static final List<DiskFile> LINEAGE =
            List.of(new DiskFile("raw", DiskFile.RAW), new DiskFile("disk-other-4", DiskFile.QCOW2));

    @TempDir
    Path vms;

    private VmDirectory directory;

    @BeforeEach
    void makeDirectory() throws Exception {
        directory = new VmDirectories(vms, vms).create();
    }

    private DiskLayers layers(List<DiskFile> lineage, Integer... overlays) {
        return new DiskLayers(new QemuHandle(directory, null, null, null, null, null), lineage, List.of(overlays),
                overlays[overlays.length - 1] + 1);
    }

    private DiskFile own(int number) {
        return new DiskFile("disk-" + directory.id() + "-" + number, DiskFile.QCOW2);
    }

    @Test
    void frozenOverlaysFollowTheLineage() throws Exception {
        DiskLayers layers = layers(LINEAGE, 5, 6, 8);
        assertThat(layers.active()).isEqualTo(8);
        assertThat(layers.frozen()).containsExactly(LINEAGE.get(0), LINEAGE.get(1), own(5), own(6));
        Files.createFile(directory.overlay(8));
        assertThat(layers.withActive()).endsWith(own(6), own(8));
        assertThat(Files.isSameFile(directory.overlay(8), directory.frozenOverlay(8))).isTrue();
        assertThat(layers.reserve()).isEqualTo(9);
        layers.switched(9);
        layers.startFrom(List.of(LINEAGE.get(0), own(8)));
        assertThat(layers.frozen()).containsExactly(LINEAGE.get(0), own(8));
        assertThat(layers.overlays()).containsExactly(9);
        assertThat(directory.overlay(8)).doesNotExist();
        assertThat(directory.frozenOverlay(8)).exists();
    }

    /** The server died between writing down the one and the other. */
    @Test
    void overlaysWhosePlaceTheLineageHasTakenAreNotCountedTwice() {
        assertThat(layers(List.of(LINEAGE.get(0), own(6)), 5, 6, 8).frozen())
                .containsExactly(LINEAGE.get(0), own(6));
        assertThat(layers(List.of(LINEAGE.get(0), own(5)), 5, 6, 8).frozen())
                .containsExactly(LINEAGE.get(0), own(5), own(6));
    }

    @Test
    void onlyWhatIsDirectlyBelowAnOverlayOfTheVmsOwnIsReplaced() {
        DiskLayers layers = layers(LINEAGE, 5, 6, 8);
        LayerMerge all = new LayerMerge(LINEAGE.subList(0, 1), List.of(LINEAGE.get(1), own(5), own(6)));
        LayerMerge lowest = new LayerMerge(LINEAGE.subList(0, 1), List.of(LINEAGE.get(1), own(5)));
        LayerMerge foreign = new LayerMerge(LINEAGE.subList(0, 1), List.of(own(5), own(6)));
        LayerMerge inherited = new LayerMerge(List.of(), LINEAGE.subList(0, 1));
        assertThat(layers.canReplace(all)).isTrue();
        assertThat(layers.canReplace(lowest)).isTrue();
        assertThat(layers.canReplace(foreign)).isFalse();
        assertThat(layers.canReplace(inherited)).isFalse();
    }
}
