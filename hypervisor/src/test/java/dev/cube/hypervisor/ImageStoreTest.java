package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImageStoreTest {
    private static final ImageManifest MANIFEST = new ImageManifest(ImageManifest.FORMAT, "tcg", 2_000_000, 2, 256,
            "device-state", "base-disk", List.of(new DiskFile("writable-disk", "raw"), new DiskFile("disk-1", "qcow2")),
            new MemoryMap(List.of("memory"), List.of(new Extent(4096, 8192, 0, 4096))));

    @TempDir
    Path directory;

    private static ImageManifest fill(Path image) throws IOException {
        for (String file : List.of("memory", "device-state", "base-disk", "writable-disk", "disk-1")) {
            Files.writeString(image.resolve(file), file);
        }
        return MANIFEST;
    }

    private static void create(Path image, ImageStore.Content content) throws IOException {
        Path fresh = ImageStore.fresh(image);
        ImageStore.publish(fresh, image, ImageStore.write(fresh, content));
    }

    @Test
    void whatIsWrittenIsRead() throws Exception {
        Path image = directory.resolve("image");
        create(image, ImageStoreTest::fill);
        assertThat(ImageStore.read(image)).isEqualTo(MANIFEST);
        assertThat(Files.readString(image.resolve("manifest.json"))).contains("[[4096,8192,0,4096]]");
    }

    @Test
    void aFailureLeavesNothing() throws Exception {
        Path image = directory.resolve("image");
        assertThatThrownBy(() -> create(image, fresh -> {
            fill(fresh);
            throw new IOException("disk full");
        })).hasMessage("disk full");
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void whatCannotBeSyncedLeavesNothing() throws Exception {
        Path fresh = ImageStore.fresh(directory.resolve("image"));
        ImageManifest manifest = ImageStore.write(fresh, ImageStoreTest::fill);
        Files.delete(fresh.resolve("memory"));
        assertThatThrownBy(() -> ImageStore.publish(fresh, directory.resolve("image"), manifest))
                .isInstanceOf(IOException.class);
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void whatACrashLeftIsReplaced() throws Exception {
        Files.createDirectories(directory.resolve(".image.new").resolve("deep"));
        create(directory.resolve("image"), ImageStoreTest::fill);
        try (var entries = Files.list(directory)) {
            assertThat(entries).containsExactly(directory.resolve("image"));
        }
    }

    @Test
    void nothingIsOverwritten() throws Exception {
        Path image = Files.createDirectory(directory.resolve("image"));
        assertThatThrownBy(() -> create(image, ImageStoreTest::fill)).hasMessageContaining("already");
    }

    @Test
    void linksOutliveTheImage() throws Exception {
        Path image = directory.resolve("image");
        create(image, ImageStoreTest::fill);
        Path vm = Files.createDirectory(directory.resolve("vm"));
        ImageStore.link(image, MANIFEST, vm);
        ImageStore.link(image, MANIFEST, vm);
        VmDirectory.deleteTree(image);
        assertThat(ImageStore.read(vm)).isEqualTo(MANIFEST);
        for (String file : List.of("memory", "base-disk", "writable-disk", "disk-1")) {
            assertThat(vm.resolve(file)).hasContent(file);
        }
    }

    @Test
    void aFileThatIsGoneIsNamed() {
        assertThatThrownBy(() -> ImageStore.adopt(directory.resolve("lost"), "lost", directory.resolve("nowhere")))
                .hasMessageContaining("gone").hasMessageContaining("lost");
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", "null", "[]", "{", "{\"format\":2}", "{\"format\":1}",
        "{\"format\":1,\"machine\":\"m\",\"vcpus\":1,\"memoryMib\":128,\"deviceState\":\"s\",\"baseDisk\":\"b\","
                + "\"writableDisk\":[],\"memory\":{\"files\":[],\"extents\":[]}}",
        "{\"format\":1,\"machine\":\"m\",\"vcpus\":1,\"memoryMib\":128,\"deviceState\":\"s\",\"baseDisk\":\"b\","
                + "\"writableDisk\":[{\"file\":\"w\",\"format\":\"vmdk\"}],\"memory\":{\"files\":[],\"extents\":[]}}",
        "{\"format\":1,\"machine\":\"m\",\"vcpus\":1,\"memoryMib\":128,\"deviceState\":\"s\",\"baseDisk\":\"b\","
                + "\"writableDisk\":[{\"file\":\"w\",\"format\":\"raw\"}],"
                + "\"memory\":{\"files\":[\"f\"],\"extents\":[[0,1073741824,0,0]]}}"})
    void aDamagedManifestIsRefused(String text) throws Exception {
        Files.writeString(directory.resolve("manifest.json"), text);
        assertThatThrownBy(() -> ImageStore.read(directory)).isInstanceOf(HypervisorException.class)
                .hasMessageContaining(directory.toString());
    }

    @Test
    void noImageIsSaidToBeNone() {
        assertThatThrownBy(() -> ImageStore.read(directory)).hasMessageContaining("no image");
    }
}
