package dev.cube.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.UserDefinedFileAttributeView;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Needs root, like unpacking itself. */
class LayerUnpackerTest {
    @TempDir
    Path directory;
    private Path root;
    private UnpackLimits limits = UnpackLimits.DEFAULT;

    @BeforeEach
    void makeDirectories() throws IOException {
        root = Files.createDirectory(directory.resolve("root"));
        Files.createDirectory(directory.resolve("trash"));
        Files.writeString(directory.resolve("outside"), "untouched");
    }

    private void unpack(TarBuilder... layers) throws IOException {
        try (RootedTree tree = new RootedTree(root, directory.resolve("trash"));
                LayerUnpacker unpacker = new LayerUnpacker(tree, new UnpackBudget(limits))) {
            for (TarBuilder layer : layers) {
                unpacker.apply(new ByteArrayInputStream(layer.build()));
            }
        }
    }

    private List<String> files() throws IOException {
        try (Stream<Path> paths = Files.walk(root)) {
            return paths.filter(path -> !path.equals(root)).map(path -> root.relativize(path).toString()).sorted().toList();
        }
    }

    private Object attribute(String path, String name) throws IOException {
        return Files.getAttribute(root.resolve(path), "unix:" + name, LinkOption.NOFOLLOW_LINKS);
    }

    @Test
    void keepsContentOwnerModeAndTime() throws IOException {
        unpack(new TarBuilder().directory("bin", 01775)
                .pax("mtime", "1600000000.123456789")
                .file("bin/su", "program", 04755, 12, 34, Map.of())
                .symbolicLink("bin/link", "/nowhere/at/all"));

        assertThat(root.resolve("bin/su")).hasContent("program");
        assertThat(attribute("bin/su", "mode")).isEqualTo(0104755);
        assertThat(attribute("bin/su", "uid")).isEqualTo(12);
        assertThat(attribute("bin/su", "gid")).isEqualTo(34);
        assertThat(((FileTime) attribute("bin/su", "lastModifiedTime")).to(TimeUnit.NANOSECONDS))
                .isEqualTo(1600000000123456789L);
        assertThat(attribute("bin", "mode")).isEqualTo(0041775);
        assertThat(((FileTime) attribute("bin", "lastModifiedTime")).to(TimeUnit.SECONDS)).isEqualTo(1_700_000_000);
        assertThat(Files.readSymbolicLink(root.resolve("bin/link"))).isEqualTo(Path.of("/nowhere/at/all"));
    }

    @Test
    void makesDevicesAndFifos() throws IOException {
        unpack(new TarBuilder().device("null", (byte) '3', 0666, 1, 3).device("disk", (byte) '4', 0640, 259, 4711)
                .device("pipe", (byte) '6', 0600, 0, 0));

        assertThat(attribute("null", "mode")).isEqualTo(0020666);
        assertThat(attribute("null", "rdev")).isEqualTo(1L << 8 | 3);
        assertThat(attribute("disk", "mode")).isEqualTo(0060640);
        assertThat(attribute("disk", "rdev")).isEqualTo(259L << 8 | 4711 & 0xff | (4711L & ~0xff) << 12);
        assertThat(attribute("pipe", "mode")).isEqualTo(0010600);
    }

    @Test
    void keepsUsersAttributesAndCapabilitiesByteByByte() throws IOException {
        byte[] value = {(byte) 0xff, 0, '\n', (byte) 0x80};
        byte[] record = concat("33 SCHILY.xattr.user.binary=", value, "\n");
        String capability = "\u0001\0\0\u0002\0\u0020\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        unpack(new TarBuilder().raw("pax", (byte) 'x', record).file("binary", "")
                .file("ping", "", 0755, 0, 0, Map.of("SCHILY.xattr.security.capability", capability,
                        "SCHILY.xattr.trusted.overlay.opaque", "y", "SCHILY.xattr.user.overlay.opaque", "y")));

        assertThat(userAttribute("binary", "binary")).isEqualTo(value);
        assertThat(Files.getFileAttributeView(root.resolve("ping"), UserDefinedFileAttributeView.class).list()).isEmpty();
        Tool.Result capabilities = Tool.run(Map.of(), "python3", "python3", List.of("-c",
                "import os,sys; print(os.listxattr(sys.argv[1]), os.getxattr(sys.argv[1], 'security.capability').hex())",
                root.resolve("ping").toString()));
        assertThat(capabilities.output())
                .isEqualTo("['security.capability'] 0100000200200000000000000000000000000000");
    }

    private byte[] userAttribute(String path, String name) throws IOException {
        var view = Files.getFileAttributeView(root.resolve(path), UserDefinedFileAttributeView.class);
        ByteBuffer buffer = ByteBuffer.allocate(view.size(name));
        view.read(name, buffer);
        return buffer.array();
    }

    private static byte[] concat(String before, byte[] middle, String after) {
        ByteBuffer buffer = ByteBuffer.allocate(before.length() + middle.length + after.length());
        return buffer.put(before.getBytes(StandardCharsets.US_ASCII)).put(middle)
                .put(after.getBytes(StandardCharsets.US_ASCII)).array();
    }

    @Test
    void whiteoutsHideWhatLowerLayersBrought() throws IOException {
        unpack(new TarBuilder().directory("a").file("a/keep", "").file("a/gone", "").directory("a/dir").file("a/dir/x", "")
                        .file("b", ""),
                new TarBuilder().file("a/.wh.gone", "").file("a/.wh.dir", "").file(".wh.b", "").file(".wh.never", "")
                        .file("missing/.wh.never", ""));

        assertThat(files()).containsExactly("a", "a/keep");
    }

    @Test
    void whiteoutSparesWhatItsOwnLayerBroughtBefore() throws IOException {
        unpack(new TarBuilder().directory("d").file("d/old", "").file("f", "old"),
                new TarBuilder().directory("d").file("d/new", "").file("f", "new").file(".wh.d", "").file(".wh.f", ""));

        assertThat(files()).containsExactly("d", "d/new", "f");
        assertThat(root.resolve("f")).hasContent("new");
    }

    @Test
    void opaqueDirectoryHidesAllBelowInWhateverOrder() throws IOException {
        TarBuilder lower = new TarBuilder().directory("d").file("d/old", "").directory("d/sub").file("d/sub/old", "")
                .directory("d/gone").file("d/gone/deep", "").file("e", "");
        unpack(lower, new TarBuilder().directory("d").directory("d/sub").file("d/sub/new", "").file("d/new", "")
                .file("d/.wh..wh..opq", ""));

        assertThat(files()).containsExactly("d", "d/new", "d/sub", "d/sub/new", "e");
    }

    @Test
    void whiteoutsDoNotReachBelowTheirLayer() throws IOException {
        unpack(new TarBuilder().file("f", "one"), new TarBuilder().file(".wh.f", ""), new TarBuilder().file("f", "three"));

        assertThat(root.resolve("f")).hasContent("three");
    }

    @Test
    void upperEntriesReplaceAndDirectoriesMerge() throws IOException {
        unpack(new TarBuilder().directory("d", 0700).file("d/x", "").file("f", "").symbolicLink("l", "d").directory("t")
                        .file("t/x", ""),
                new TarBuilder().directory("d", 0755).file("d/y", "").directory("f").directory("l").file("t", "now a file"));

        assertThat(files()).containsExactly("d", "d/x", "d/y", "f", "l", "t");
        assertThat(attribute("d", "mode")).isEqualTo(0040755);
        assertThat(root.resolve("f")).isDirectory();
        assertThat(Files.isDirectory(root.resolve("l"), LinkOption.NOFOLLOW_LINKS)).isTrue();
        assertThat(root.resolve("t")).hasContent("now a file");
    }

    @Test
    void replacingOneNameLeavesItsOtherHardLinks() throws IOException {
        unpack(new TarBuilder().file("one", "old").hardLink("two", "one").hardLink("three", "/one"),
                new TarBuilder().file("one", "new").hardLink("four", "two").hardLink("four", "four"));

        assertThat(root.resolve("one")).hasContent("new");
        assertThat(root.resolve("two")).hasContent("old");
        assertThat(attribute("four", "ino")).isEqualTo(attribute("two", "ino"));
        assertThat(attribute("three", "nlink")).isEqualTo(3);
    }

    @Test
    void makesMissingParents() throws IOException {
        unpack(new TarBuilder().file("a/b/c/file", "x"));

        assertThat(root.resolve("a/b/c/file")).hasContent("x");
        assertThat(attribute("a/b", "mode")).isEqualTo(0040755);
    }

    @Test
    void directoryLinkedInALowerLayerTakesTheFilesOfUpperOnes() throws IOException {
        unpack(new TarBuilder().directory("usr").directory("usr/lib").symbolicLink("lib", "usr/lib"),
                new TarBuilder().file("lib/new.so", "x"));

        assertThat(root.resolve("usr/lib/new.so")).hasContent("x");
        assertThat(root.resolve("lib")).isSymbolicLink();
    }

    @Test
    void symbolicLinksLeadNowhereButIntoTheImage() throws IOException {
        unpack(new TarBuilder().symbolicLink("up", "../../../../../../../..").symbolicLink("abs", "/")
                .symbolicLink("out", directory.toString())
                .file("up/a", "1").file("abs/b", "2").file("abs/.wh.outside", "").hardLink("h", "up/a"));

        assertThat(root.resolve("a")).hasContent("1");
        assertThat(root.resolve("b")).hasContent("2");
        assertThat(directory.resolve("outside")).hasContent("untouched");
        // The link's target does not exist inside the image.
        assertThatThrownBy(() -> unpack(new TarBuilder().file("out/outside", "overwritten")))
                .isInstanceOf(ImageException.class).hasMessageContaining("dangling symbolic link");
        assertThat(directory.resolve("outside")).hasContent("untouched");
        try (Stream<Path> paths = Files.list(directory)) {
            assertThat(paths).hasSize(3);
        }
    }

    @Test
    void fileIsNotWrittenThroughALinkOfItsName() throws IOException {
        unpack(new TarBuilder().symbolicLink("f", "../outside").file("f", "mine"));

        assertThat(directory.resolve("outside")).hasContent("untouched");
        assertThat(Files.isSymbolicLink(root.resolve("f"))).isFalse();
        assertThat(root.resolve("f")).hasContent("mine");
    }

    @ParameterizedTest
    @ValueSource(strings = {"../outside", "a/../../outside", "/..", "a/b/..", ".wh...", ".wh..", "d/.wh."})
    void refusesPathsThatLeadOut(String name) throws IOException {
        assertThatThrownBy(() -> unpack(new TarBuilder().file(name, "overwritten"))).isInstanceOf(ImageException.class);
        assertThat(directory.resolve("outside")).hasContent("untouched");
    }

    @ParameterizedTest
    @ValueSource(strings = {"../outside", "/../outside", "missing", "d"})
    void refusesImpossibleHardLinks(String target) {
        assertThatThrownBy(() -> unpack(new TarBuilder().directory("d").hardLink("link", target)))
                .isInstanceOf(ImageException.class);
    }

    @Test
    void absolutePathsAreTakenAsTheImages() throws IOException {
        unpack(new TarBuilder().raw("/etc/hosts", (byte) '0', new byte[0]).file("./x", ""));

        assertThat(files()).containsExactly("etc", "etc/hosts", "x");
    }

    @Test
    void bytesAndFilesAreBounded() {
        limits = new UnpackLimits(10_000, 100);
        assertThatThrownBy(() -> unpack(new TarBuilder().file("big", "x".repeat(20_000))))
                .isInstanceOf(ImageException.class).hasMessageContaining("unpacks to more than");
        limits = new UnpackLimits(1 << 30, 3);
        assertThatThrownBy(() -> unpack(new TarBuilder().file("1", "").file("2", ""), new TarBuilder().file("3", "").file("4", "")))
                .isInstanceOf(ImageException.class).hasMessageContaining("more than 3 files");
    }

    @Test
    void namesNeedNotBeText() throws IOException {
        byte[] tar = new TarBuilder().file("name-XX", "x").build();
        // Not UTF-8; one byte more here, one less there keeps the checksum.
        tar[5] = (byte) ('X' + 0x80);
        tar[6] = (byte) ('X' - 0x40);
        int sum = 0x80 - 0x40;
        String field = new String(tar, 148, 6, StandardCharsets.US_ASCII);
        String fixed = String.format("%06o", Integer.parseInt(field.strip(), 8) + sum);
        System.arraycopy(fixed.getBytes(StandardCharsets.US_ASCII), 0, tar, 148, 6);
        try (RootedTree tree = new RootedTree(root, directory.resolve("trash"));
                LayerUnpacker unpacker = new LayerUnpacker(tree, new UnpackBudget(limits))) {
            unpacker.apply(new ByteArrayInputStream(tar));
            assertThat(tree.list("")).containsExactly("name-\u00d8\u0018");
        }
    }

    @Test
    void stopsWhenInterrupted() {
        Thread.currentThread().interrupt();
        assertThatThrownBy(() -> unpack(new TarBuilder().file("f", ""))).hasMessage("interrupted");
        assertThat(Thread.interrupted()).isTrue();
    }

    @Test
    void tellsApartArchivesThatEndEarly() {
        byte[] whole = new TarBuilder().file("f", "x".repeat(3000)).build();
        byte[] cut = Arrays.copyOf(whole, 2000);
        assertThatThrownBy(() -> {
            try (RootedTree tree = new RootedTree(root, directory.resolve("trash"));
                    LayerUnpacker unpacker = new LayerUnpacker(tree, new UnpackBudget(limits))) {
                unpacker.apply(new ByteArrayInputStream(cut));
            }
        }).isInstanceOf(ImageException.class).hasMessageContaining("ends too early");
    }
}
