package dev.cube.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TarReaderTest {
    private static final String LONG_NAME = "d/".repeat(120) + "n".repeat(120);

    @TempDir
    Path directory;

    private static TarReader reader(byte[] archive) {
        return new TarReader(new ByteArrayInputStream(archive));
    }

    private static byte[] content(TarReader tar) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        byte[] buffer = new byte[100];
        for (int n = tar.read(buffer, 0, 100); n >= 0; n = tar.read(buffer, 0, 100)) {
            out.write(buffer, 0, n);
        }
        return out.toByteArray();
    }

    @Test
    void readsLongNamesAndLargeNumbersOfBothKinds() throws IOException {
        for (TarBuilder builder : List.of(new TarBuilder(), new TarBuilder().gnu())) {
            TarReader tar = reader(builder.file(LONG_NAME, "content", 0600, 3_000_000_000L, 7, Map.of())
                    .symbolicLink("l", LONG_NAME).file("after", "").build());
            TarEntry entry = tar.next();
            assertThat(entry.name()).isEqualTo(LONG_NAME);
            assertThat(Integer.toUnsignedLong(entry.uid())).isEqualTo(3_000_000_000L);
            assertThat(content(tar)).asString().isEqualTo("content");
            assertThat(tar.next().link()).isEqualTo(LONG_NAME);
            assertThat(tar.next().name()).isEqualTo("after");
            assertThat(tar.next()).isNull();
        }
    }

    @Test
    void contentThatIsNotReadIsSkipped() throws IOException {
        TarReader tar = reader(new TarBuilder().file("a", "x".repeat(1000)).file("b", "y").build());
        tar.next();
        assertThat(tar.next().name()).isEqualTo("b");
        assertThat(content(tar)).asString().isEqualTo("y");
    }

    @Test
    void timesBefore1970() throws IOException {
        TarReader tar = reader(new TarBuilder().pax("mtime", "-1.25").file("a", "").build());
        assertThat(tar.next().time()).isEqualTo(new TarEntry.Time(-2, 750_000_000));
    }

    @ParameterizedTest
    @ValueSource(strings = {"--format=gnu", "--format=posix --sparse-version=0.0", "--format=posix --sparse-version=0.1",
            "--format=posix --sparse-version=1.0"})
    void readsSparseFilesOfGnuTar(String options) throws IOException {
        Path file = directory.resolve("sparse-file");
        byte[] data = "0123456789abcdef".repeat(256).getBytes(StandardCharsets.US_ASCII);
        // More extents than the four that fit a GNU header, and the 21 of its continuation.
        int extents = 30;
        long size = (extents + 4) * (1L << 20);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            for (int i = 0; i < extents; i++) {
                channel.write(ByteBuffer.wrap(data), i * (1L << 20));
            }
            channel.write(ByteBuffer.wrap(new byte[1]), size - 1);
        }
        Path archive = directory.resolve("archive.tar");
        List<String> arguments = new ArrayList<>(List.of("--sparse"));
        arguments.addAll(List.of(options.split(" ")));
        arguments.addAll(List.of("-C", directory.toString(), "-cf", archive.toString(), "sparse-file"));
        assertThat(Tool.run(Map.of(), "tar", "tar", arguments)).isEqualTo(new Tool.Result(0, ""));
        assertThat(Files.size(archive)).isLessThan(1 << 20);

        Path root = Files.createDirectory(directory.resolve("root"));
        try (RootedTree tree = new RootedTree(root, Files.createDirectory(directory.resolve("trash")));
                LayerUnpacker unpacker = new LayerUnpacker(tree, new UnpackBudget(UnpackLimits.DEFAULT))) {
            unpacker.apply(Files.newInputStream(archive));
        }
        Path copy = root.resolve("sparse-file");
        assertThat(Files.mismatch(copy, file)).isEqualTo(-1);
        assertThat(Posix.allocatedBytes(RawName.of(copy))).isLessThan(1 << 20);
    }

    @Test
    void refusesImpossibleSparseMaps() {
        for (String map : List.of("0,5,3,5", "0,100", "0,10,100,1", "5", "x,y", "9000000000000000000,9000000000000000000")) {
            byte[] archive = new TarBuilder().pax("GNU.sparse.size", "50").pax("GNU.sparse.map", map)
                    .file("s", "0123456789").build();
            assertThatThrownBy(() -> reader(archive).next()).as(map).isInstanceOf(ImageException.class);
        }
    }

    @Test
    void refusesDamage() {
        byte[] archive = new TarBuilder().file("name", "content").build();
        byte[] changed = archive.clone();
        changed[0] ^= 1;
        assertThatThrownBy(() -> reader(changed).next()).hasMessageContaining("checksum");
        assertThatThrownBy(() -> reader(Arrays.copyOf(archive, 400)).next()).hasMessageContaining("ends too early");
    }

    @Test
    void refusesHugeHeaders() {
        byte[] archive = new TarBuilder().raw("x", (byte) 'x', new byte[(1 << 20) + 1]).file("f", "").build();
        assertThatThrownBy(() -> reader(archive).next()).isInstanceOf(ImageException.class)
                .hasMessageContaining("header of");
    }

    @ParameterizedTest
    @ValueSource(strings = {"5 a=b\n", "99 a=b\n", "6 ab=c\n", "x a=b\n", "8 abcde\n", "6 a=bc"})
    void refusesBadPaxRecords(String records) {
        byte[] archive = new TarBuilder().raw("x", (byte) 'x', records.getBytes(StandardCharsets.US_ASCII)).file("f", "")
                .build();
        assertThatThrownBy(() -> reader(archive).next()).isInstanceOf(ImageException.class)
                .hasMessageContaining("damaged");
    }
}
