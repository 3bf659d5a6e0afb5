package dev.cube.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.image.TestImage.Compression;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Runs mke2fs and looks at what it made with debugfs and e2fsck. Needs root. */
class BaseDiskBuilderTest {
    @TempDir
    Path directory;
    private Path out;
    private Path disk;
    private final BaseDiskBuilder builder =
            new BaseDiskBuilder(new UnpackLimits(1 << 26, 10_000), RegistryCredentials.anonymous());

    @BeforeEach
    void makeDirectory() throws IOException {
        out = Files.createDirectory(directory.resolve("out"));
        disk = out.resolve("base.ext4");
    }

    @AfterEach
    void nothingElseIsLeftBehind() throws IOException {
        try (Stream<Path> files = Files.list(out)) {
            assertThat(files.filter(file -> !file.equals(disk))).isEmpty();
        }
    }

    private static TestImage image(Compression compression) {
        return new TestImage()
                .layer(new TarBuilder().directory("etc").file("etc/a", "lower").file("etc/b", "gone")
                        .file("su", "x", 04755, 0, 0, Map.of()).hardLink("su2", "su").symbolicLink("tmp", "etc"), compression)
                .layer(new TarBuilder().file("etc/a", "upper", 0600, 1000, 1001, Map.of()).file("etc/.wh.b", "")
                        .file("big", "0123456789".repeat(100_000), 0644, 0, 0,
                                Map.of("SCHILY.xattr.user.note", "hello")), compression)
                .config("""
                        {"User":"user","WorkingDir":"/w","Env":["A=b=c","BAD"],"Entrypoint":["/e"],"Cmd":["c"],
                        "ExposedPorts":{"80/tcp":{},"53/udp":{},"99999/tcp":{}}}""");
    }

    @ParameterizedTest
    @EnumSource(Compression.class)
    void diskHoldsTheLayersFiles(Compression compression) throws IOException {
        List<String> lines = new ArrayList<>();
        Path layout = image(compression).writeLayout(directory.resolve("layout"));
        BaseDisk made = builder.build("oci:" + layout, disk, lines::add);

        assertThat(made.file()).isEqualTo(disk);
        assertThat(made.sizeBytes()).isEqualTo(Files.size(disk));
        assertThat(made.allocatedBytes()).isLessThan(4 << 20);
        assertThat(made.config().environment()).isEqualTo(Map.of("A", "b=c"));
        assertThat(made.config().entrypoint()).containsExactly("/e");
        assertThat(made.config().command()).containsExactly("c");
        assertThat(made.config().user()).isEqualTo("user");
        assertThat(made.config().workingDir()).isEqualTo("/w");
        assertThat(made.config().exposedPorts()).containsExactly(80);
        assertThat(lines).anyMatch(line -> line.startsWith("layer 2 of 2"));

        assertThat(Tool.run(Map.of(), "e2fsck", "e2fsprogs", List.of("-fn", disk.toString())).exitCode()).isZero();
        assertThat(debugfs("cat /etc/a")).isEqualTo("upper");
        assertThat(debugfs("stat /etc/a")).contains("Mode:  0600").contains("User:  1000").contains("Group:  1001");
        assertThat(debugfs("stat /etc/b")).contains("File not found");
        assertThat(debugfs("stat /su2")).contains("Mode:  04755").contains("Links: 2");
        assertThat(debugfs("ea_get /big user.note")).contains("hello");
        assertThat(debugfs("stat /tmp")).contains("Type: directory").contains("Mode:  01777");
        assertThat(debugfs("ls -p /").lines().map(line -> line.split("/")[5])).containsExactlyInAnyOrder(
                ".", "..", "big", "dev", "etc", "proc", "run", "su", "su2", "sys", "tmp");
        assertThat(debugfs("stat /dev/shm")).contains("Type: directory");
    }

    private String debugfs(String request) throws IOException {
        String output = Tool.run(Map.of(), "debugfs", "e2fsprogs", List.of("-R", request, disk.toString())).output();
        return output.replaceFirst("^debugfs .*\n", "");
    }

    @Test
    void sameImageMakesTheSameFileSystemIdentity() throws IOException {
        String reference = "oci:" + image(Compression.NONE).writeLayout(directory.resolve("layout"));
        builder.build(reference, disk, line -> { });
        String first = debugfs("show_super_stats -h");
        builder.build(reference, disk, line -> { });
        assertThat(debugfs("show_super_stats -h")).isEqualTo(first).contains("Filesystem UUID");
    }

    @Test
    void archives() throws IOException {
        TestImage image = image(Compression.GZIP);
        byte[] layout = TestImage.tarOf(image.layoutFiles(image.manifest(), "v1"));
        Path plain = Files.write(directory.resolve("plain.tar"), layout);
        Path packed = Files.write(directory.resolve("packed.tar.gz"), TestImage.compress(layout, Compression.GZIP));
        Path docker = Files.write(directory.resolve("docker.tar"), image(Compression.NONE).dockerArchive());

        for (String reference : List.of("oci-archive:" + plain + ":v1", "oci-archive:" + packed,
                "docker-archive:" + docker)) {
            BaseDisk made = builder.build(reference, disk, line -> { });
            assertThat(debugfs("cat /etc/a")).as(reference).isEqualTo("upper");
            assertThat(made.config().user()).isEqualTo("user");
        }
    }

    @Test
    void picksThisMachinesArchitectureFromAnIndex() {
        TestImage image = image(Compression.NONE);
        String index = image.index(new TestImage().architecture("arm64").layer(new TarBuilder().file("arm", "")));
        Path layout = image.writeLayout(directory.resolve("layout"), index, "v2");
        builder.build("oci:" + layout + ":v2", disk, line -> { });

        assertThatThrownBy(() -> builder.build("oci:" + layout + ":v3", disk, line -> { }))
                .isInstanceOf(ImageException.class).hasMessageContaining("has no tag 'v3'; it has: v2");
    }

    @Test
    void wrongArchitecture() {
        TestImage arm = new TestImage().architecture("arm64").layer(new TarBuilder().file("f", ""));
        fails("oci:" + arm.writeLayout(directory.resolve("layout")), "the image is for linux/arm64");
        TestImage index = new TestImage().architecture("s390x").layer(new TarBuilder().file("f", ""));
        String descriptor = index.index(arm);
        fails("oci:" + index.writeLayout(directory.resolve("index"), descriptor, "latest"),
                "the image is for linux/arm64, linux/s390x, and this machine needs linux/amd64");
    }

    @Test
    void damagedContent() throws IOException {
        for (int victim = 0; victim < 4; victim++) {
            TestImage image = image(Compression.GZIP);
            Path layout = image.writeLayout(directory.resolve("layout" + victim));
            String digest = image.blobs.keySet().stream().toList().get(victim);
            Path blob = layout.resolve("blobs").resolve(digest.replace(':', '/'));
            byte[] content = Files.readAllBytes(blob);
            // In the time stamp of the gzip header, which no decompressor minds.
            content[victim < 2 ? 5 : content.length / 2] ^= 1;
            Files.write(blob, content);
            fails("oci:" + layout, "is damaged: its digest is");
            Files.write(blob, new byte[content.length + 1]);
            fails("oci:" + layout, "");
            Files.delete(blob);
            fails("oci:" + layout, "lacks blobs/sha256/");
        }
    }

    @Test
    void layersAreCheckedAgainstTheConfigurationToo() throws IOException {
        TestImage image = image(Compression.NONE);
        byte[] archive = image.dockerArchive();
        String text = new String(archive, StandardCharsets.ISO_8859_1);
        int at = text.indexOf("lower");
        archive[at] = 'L';
        fails("docker-archive:" + Files.write(directory.resolve("x.tar"), archive), "is damaged: its digest is");
    }

    @Test
    void layerThatUnpacksToTooMuch() {
        TestImage bomb = new TestImage().layer(new TarBuilder().raw("zeros", (byte) '0', new byte[70 << 20]), Compression.ZSTD);
        fails("oci:" + bomb.writeLayout(directory.resolve("layout")), "unpacks to more than 64 MiB");
    }

    @Test
    void hostileLayersLeaveNothing() {
        TestImage image = new TestImage().layer(new TarBuilder().directory("d").file("d/../../x", ""));
        fails("oci:" + image.writeLayout(directory.resolve("layout")), "leads out of its directory");
    }

    @Test
    void whatIsNotThere() {
        fails("oci:" + directory.resolve("none"), "does not exist");
        fails("oci:" + out, "is not an OCI image layout");
        fails("oci-archive:" + directory.resolve("none.tar"), "does not exist");
        fails("docker-archive:" + directory.resolve("none.tar"), "does not exist");
        assertThatThrownBy(() -> builder.build("oci:" + out, directory.resolve("a/b"), line -> { }))
                .isInstanceOf(ImageException.class).hasMessageContaining("a does not exist");
    }

    @Test
    void aFailedBuildLeavesTheDiskThatWasThere() throws IOException {
        Files.writeString(disk, "old");
        fails("oci:" + directory.resolve("none"), "does not exist");
        assertThat(disk).hasContent("old");
    }

    private void fails(String reference, String reason) {
        assertThatThrownBy(() -> builder.build(reference, disk, line -> { }))
                .isInstanceOf(ImageException.class).hasMessageContaining(reason);
        try (Stream<Path> files = Files.list(out)) {
            assertThat(files.filter(file -> !file.equals(disk))).isEmpty();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
