package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class Qcow2OverlayTest {
    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(longs = {512, 1 << 20, 1L << 30, (1L << 30) + 512, 3L << 40, 64L << 40})
    void qemuFindsNoFaultInIt(long size) throws Exception {
        try (RandomAccessFile below = new RandomAccessFile(directory.resolve("below").toFile(), "rw")) {
            below.setLength(1 << 20);
        }
        Path overlay = directory.resolve("overlay");
        Qcow2Overlay.create(overlay, "below", DiskFile.RAW, size);

        assertThat(qemuImg("check", overlay)).contains("No errors were found");
        assertThat(qemuImg("info", overlay))
                .contains("(" + size + " bytes)").contains("backing file: below").contains("backing file format: raw")
                .contains("compat: 1.1").contains("corrupt: false");
        assertThat(Qcow2Overlay.virtualSize(directory, new DiskFile("overlay", DiskFile.QCOW2))).isEqualTo(size);
    }

    @Test
    void takesTheSizeOfTheLayerBelow() throws Exception {
        Files.write(directory.resolve("raw"), new byte[1536]);
        Qcow2Overlay.create(directory.resolve("first"), directory, new DiskFile("raw", DiskFile.RAW));
        Qcow2Overlay.create(directory.resolve("second"), directory, new DiskFile("first", DiskFile.QCOW2));
        assertThat(Qcow2Overlay.virtualSize(directory, new DiskFile("second", DiskFile.QCOW2))).isEqualTo(1536);
        assertThat(qemuImg("info", directory.resolve("second"))).contains("backing file format: qcow2");
    }

    @Test
    void whatCannotBeWrittenOrReadIsRefused() throws Exception {
        Path overlay = directory.resolve("overlay");
        for (long size : new long[] {0, -512, 100, (64L << 40) + 512}) {
            assertThatThrownBy(() -> Qcow2Overlay.create(overlay, "below", DiskFile.RAW, size))
                    .isInstanceOf(IllegalArgumentException.class);
        }
        assertThatThrownBy(() -> Qcow2Overlay.create(overlay, "x".repeat(1024), DiskFile.RAW, 512))
                .isInstanceOf(IllegalArgumentException.class);
        assertThat(overlay).doesNotExist();
        Files.write(overlay, new byte[10]);
        assertThatThrownBy(() -> Qcow2Overlay.virtualSize(directory, new DiskFile("overlay", DiskFile.QCOW2)))
                .hasMessageContaining("not a qcow2 file");
    }

    private static String qemuImg(String command, Path file) throws Exception {
        Process process = new ProcessBuilder("qemu-img", command, file.toString()).redirectErrorStream(true).start();
        return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }
}
