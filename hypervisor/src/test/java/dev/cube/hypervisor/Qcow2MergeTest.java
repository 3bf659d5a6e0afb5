package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Merges what QEMU has written, and has QEMU judge the result. */
class Qcow2MergeTest {
    private static final long MEBIBYTE = 1 << 20;

    @TempDir
    Path directory;

    private final List<DiskFile> layers = new ArrayList<>();
    private int made;

    private Path file(String name) {
        return directory.resolve(name);
    }

    private long size() throws IOException {
        return Files.size(file("raw"));
    }

    private void raw(long size) throws Exception {
        layers.add(new DiskFile("raw", DiskFile.RAW));
        try (RandomAccessFile raw = new RandomAccessFile(file("raw").toFile(), "rw")) {
            raw.setLength(size);
        }
        io("raw", "-f", "raw", "-c", "write -P 1 0 512", "-c", "write -P 2 " + (size - 512) + " 512");
    }

    private void layer(String... commands) throws Exception {
        String name = "layer-" + ++made;
        Qcow2Overlay.create(file(name), directory, layers.getLast());
        layers.add(new DiskFile(name, DiskFile.QCOW2));
        List<String> arguments = new ArrayList<>(List.of("-d", "unmap", "-c", "length"));
        for (String command : commands) {
            arguments.addAll(List.of("-c", command));
        }
        io(name, arguments.toArray(String[]::new));
    }

    /** Merges the layers from one on, and returns the name of the result, which QEMU finds right. */
    private String merge(int from) throws Exception {
        Qcow2Merge.write(layers.stream().skip(from).map(layer -> file(layer.file())).toList(), file("merged"),
                BlockNodes.pseudoName(layers.get(from - 1)), layers.get(from - 1).format(), size());
        assertThat(run("qemu-img", "check", "merged")).contains("No errors were found");
        assertThat(run("qemu-img", "compare", "merged", layers.getLast().file())).contains("Images are identical");
        return "merged";
    }

    @Test
    void theUpperLayerCounts() throws Exception {
        raw(1 << 30);
        layer("write -P 3 0 1M", "write -P 4 700M 100k", "write -P 5 1023M 1M");
        layer("write -P 6 64k 64k", "write -P 7 513M 4k", "write -z -u 700M 64k");
        layer("discard 128k 64k", "write -P 8 512k 100", "write -P 9 200M 3M");
        String merged = merge(1);
        assertThat(io(merged, "-r", "-c", "read -P 3 0 64k", "-c", "read -P 6 64k 64k", "-c", "read -P 0 128k 64k",
                "-c", "read -P 8 512k 100", "-c", "read -P 0 700M 64k", "-c", "read -P 4 716864k 36k"))
                .doesNotContain("verification failed");
    }

    @Test
    void onlyTheUppermostAreMerged() throws Exception {
        raw(64 << 20);
        layer("write -P 3 0 8M");
        layer("write -P 4 4M 1M");
        layer("write -P 5 5M 1M", "write -z -u 0 64k");
        String merged = merge(2);
        assertThat(Files.size(file(merged))).isLessThan(3 * MEBIBYTE);
        assertThat(run("qemu-img", "info", merged)).contains("layer-1");
    }

    @Test
    void layersWithoutContentAreMerged() throws Exception {
        raw(64 << 20);
        layer();
        layer();
        assertThat(Files.size(file(merge(1)))).isLessThan(MEBIBYTE);
    }

    @ParameterizedTest
    @ValueSource(longs = {512, 65536 + 512, (512 << 20) + 1024})
    void theLastClusterMayBeCutShort(long size) throws Exception {
        raw(size);
        layer("write -P 3 " + (size - 512) + " 512");
        layer("write -P 4 0 512");
        merge(1);
    }

    /** Of a layer all of whose clusters are beyond its end: QEMU reads zeros there, and neither file has any data. */
    @Test
    void aResultOfManyRefcountBlocksIsRight() throws Exception {
        raw(5L << 30);
        layer();
        try (FileChannel layer = FileChannel.open(file("layer-1"), StandardOpenOption.WRITE)) {
            ByteBuffer l1 = ByteBuffer.allocate(10 * Long.BYTES);
            ByteBuffer l2 = ByteBuffer.allocate(Qcow2Header.CLUSTER);
            while (l1.hasRemaining()) {
                l1.putLong(4L * Qcow2Header.CLUSTER | Qcow2Layer.COPIED);
            }
            for (long cluster = 0; l2.hasRemaining(); cluster++) {
                l2.putLong((1L << 40) + cluster * Qcow2Header.CLUSTER | Qcow2Layer.COPIED);
            }
            layer.write(l1.flip(), 3L * Qcow2Header.CLUSTER);
            layer.write(l2.flip(), 4L * Qcow2Header.CLUSTER);
        }
        layer("write -P 4 4G 64k");
        String merged = merge(1);
        assertThat(Files.size(file(merged))).isGreaterThan(5L << 30);
        assertThat(io(merged, "-r", "-c", "read -P 0 0 64k", "-c", "read -P 4 4G 64k")).doesNotContain("verification failed");
    }

    @Test
    void whateverIsWrittenIsThere() throws Exception {
        raw((300 << 20) + 512 * 7);
        Random random = new Random(4);
        for (int i = 0; i < 12; i++) {
            List<String> commands = new ArrayList<>();
            for (int k = 0; k < 12; k++) {
                long length = 512L * (1 + random.nextInt(k % 3 == 0 ? 4096 : 64));
                long offset = 512L * random.nextLong((size() - length) / 512);
                commands.add(switch (random.nextInt(6)) {
                    case 0 -> "discard %d %d".formatted(offset, length);
                    case 1 -> "write -z -u %d %d".formatted(offset, length);
                    default -> "write -P %d %d %d".formatted(1 + random.nextInt(255), offset, length);
                });
            }
            layer(commands.toArray(String[]::new));
        }
        merge(1);
        // A merged file is a layer as any other.
        Files.move(file("merged"), file(layers.getLast().file()), StandardCopyOption.REPLACE_EXISTING);
        layers.subList(1, layers.size() - 1).clear();
        layer("write -P 77 1M 1M");
        merge(1);
    }

    @Test
    void whatIsNotALayerOfTheDiskIsRefusedAndNothingIsLeft() throws Exception {
        raw(64 << 20);
        layer("write -P 3 0 1M");
        byte[] good = Files.readAllBytes(file("layer-1"));
        for (int[] damage : new int[][] {{0, 1}, {7, 2}, {23, 9}, {30, 1}, {35, 1}, {39, 0}, {40, 1}, {47, 1}, {79, 1}}) {
            byte[] bad = good.clone();
            bad[damage[0]] = (byte) damage[1];
            assertRefused(bad);
        }
        assertRefused(new byte[10]);
        assertRefused(Arrays.copyOf(good, 3 * Qcow2Header.CLUSTER));
        int l1 = 3 * Qcow2Header.CLUSTER;
        int l2 = 4 * Qcow2Header.CLUSTER;
        for (int[] damage : new int[][] {{l1, 0x40}, {l1 + 7, 1}, {l1 + 3, 0x7f}, {l2, 0x40}, {l2 + 6, 2}, {l2 + 7, 2}}) {
            byte[] bad = good.clone();
            bad[damage[0]] |= (byte) damage[1];
            assertRefused(bad);
        }
    }

    private void assertRefused(byte[] layer) throws IOException {
        Files.write(file("layer-1"), layer);
        assertThatThrownBy(() -> Qcow2Merge.write(List.of(file("layer-1")), file("merged"), "raw", DiskFile.RAW, size()))
                .isInstanceOf(IOException.class);
        assertThat(file("merged")).doesNotExist();
    }

    private String io(String name, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of("qemu-io"));
        command.addAll(Arrays.asList(arguments));
        command.add(name);
        String output = run(command.toArray(String[]::new));
        assertThat(output).doesNotContain("failed", "error");
        return output;
    }

    private String run(String... command) throws Exception {
        Process process = new ProcessBuilder(command).directory(directory.toFile())
                .redirectInput(ProcessBuilder.Redirect.from(new File("/dev/null"))).redirectErrorStream(true).start();
        return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }
}
