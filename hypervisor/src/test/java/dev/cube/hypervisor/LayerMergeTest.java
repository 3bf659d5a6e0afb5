package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LayerMergeTest {
    private static final String FILES = "device-state base-disk memory";

    @TempDir
    Path directory;

    private List<DiskFile> layers(int... sizes) throws IOException {
        List<DiskFile> layers = new ArrayList<>(List.of(new DiskFile("raw", DiskFile.RAW)));
        Files.write(directory.resolve("raw"), new byte[1 << 20]);
        for (int i = 1; i <= sizes.length; i++) {
            Files.write(directory.resolve("layer-" + i), new byte[sizes[i - 1]]);
            layers.add(new DiskFile("layer-" + i, DiskFile.QCOW2));
        }
        return layers;
    }

    private LayerMerge merge(int... sizes) throws IOException {
        return LayerMerge.of(directory, layers(sizes));
    }

    @Test
    void whatIsLargerThanAllAboveItStays() throws Exception {
        assertThat(merge(900, 1, 1, 1, 1, 1, 1, 1).kept()).extracting(DiskFile::file).containsExactly("raw", "layer-1");
        assertThat(merge(900, 300, 1, 1, 1, 1, 1, 1).kept()).hasSize(3);
        assertThat(merge(300, 900, 1, 1, 1, 1, 1, 1).kept()).hasSize(3);
        assertThat(merge(5, 5, 5, 5, 5, 5, 5, 5).kept()).hasSize(1);
    }

    @Test
    void fourStayAtMost() throws Exception {
        LayerMerge steep = merge(512, 256, 128, 64, 32, 16, 8, 4, 2);
        assertThat(steep.kept()).hasSize(4);
        assertThat(steep.result()).hasSize(5).endsWith(new DiskFile("layer-9", DiskFile.QCOW2));
        assertThat(steep.isWorthwhile()).isTrue();
    }

    @Test
    void theRawDiskAndWhatNothingCanTakeThePlaceOfStay() throws Exception {
        assertThat(merge(1).isWorthwhile()).isFalse();
        List<DiskFile> layers = layers(1, 1, 1, 1);
        layers.set(2, new DiskFile(directory.resolve("layer-2").toString(), DiskFile.QCOW2));
        assertThat(LayerMerge.of(directory, layers).kept()).hasSize(3);
        layers.set(4, new DiskFile(directory.resolve("layer-4").toString(), DiskFile.QCOW2));
        assertThat(LayerMerge.of(directory, layers).isWorthwhile()).isFalse();
    }

    @Test
    void aDiskWithOthersAboveIsKnown() throws Exception {
        List<DiskFile> layers = layers(9, 9, 9, 9);
        LayerMerge merge = LayerMerge.of(directory, layers.subList(0, 4));
        assertThat(merge.isBelow(layers)).isTrue();
        assertThat(merge.isBelow(layers.subList(0, 4))).isTrue();
        assertThat(merge.isBelow(layers.subList(0, 3))).isFalse();
        assertThat(merge.isBelow(List.of(layers.get(0), layers.get(2), layers.get(3), layers.get(4)))).isFalse();
    }

    /** Whatever a manifest was read before: its files are there, with what they have to have, or one is missing. */
    @Test
    void anImageHasItsLayersReplaced() throws Exception {
        Path image = Files.createDirectory(directory.resolve("image"));
        for (String file : FILES.split(" ")) {
            Files.writeString(image.resolve(file), file);
        }
        List<DiskFile> layers = new ArrayList<>(List.of(new DiskFile("raw", DiskFile.RAW)));
        Files.write(image.resolve("raw"), new byte[1 << 20]);
        for (int i = 1; i < 4; i++) {
            Qcow2Overlay.create(image.resolve("layer-" + i), image, layers.getLast());
            layers.add(new DiskFile("layer-" + i, DiskFile.QCOW2));
        }
        ImageManifest manifest = new ImageManifest(ImageManifest.FORMAT, "tcg", 2_000_000, 1, 256, "device-state", "base-disk",
                layers, new MemoryMap(List.of("memory"), List.of(new Extent(0, 4096, 0, 0))));
        JsonFiles.write(image.resolve(ImageManifest.FILE), manifest);
        Path before = Files.createDirectory(directory.resolve("before"));
        ImageStore.link(image, manifest, before);
        byte[] unmerged = Files.readAllBytes(before.resolve("layer-3"));

        LayerMerge merge = new LayerMerge(layers.subList(0, 1), layers.subList(1, 4));
        Path file = ImageStore.merged(image);
        merge.write(image, file);
        ImageStore.replaceLayers(image, manifest, merge, file);

        ImageManifest after = ImageStore.read(image);
        assertThat(after).isEqualTo(manifest.withWritableDisk(List.of(layers.get(0), layers.get(3))));
        assertThat(image.resolve("layer-1")).doesNotExist();
        assertThat(image.resolve("layer-2")).doesNotExist();
        assertThat(file).doesNotExist();
        Path fresh = Files.createDirectory(directory.resolve("fresh"));
        ImageStore.link(image, after, fresh);
        assertThat(Files.isSameFile(fresh.resolve("layer-3"), image.resolve("layer-3"))).isTrue();
        assertThat(Files.readAllBytes(before.resolve("layer-3"))).as("who had linked it").isEqualTo(unmerged);
        assertThat(ImageStore.read(before)).isEqualTo(manifest);
        Path late = Files.createDirectory(directory.resolve("late"));
        assertThatThrownBy(() -> ImageStore.link(image, manifest, late))
                .isInstanceOf(NoSuchFileException.class);
    }
}
