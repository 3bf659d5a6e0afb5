package dev.cube.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WritableDiskTest {
    @TempDir
    Path directory;

    @Test
    void isAnEmptySoundFileSystemThatTakesNoSpace() throws IOException {
        Path disk = directory.resolve("disk");
        WritableDisk.create(disk, 1L << 30);

        assertThat(Files.size(disk)).isEqualTo(1L << 30);
        assertThat(Posix.allocatedBytes(RawName.of(disk))).isLessThan(1 << 20);
        assertThat(Tool.run(Map.of(), "e2fsck", "e2fsprogs", List.of("-fn", disk.toString())).exitCode()).isZero();
        assertThat(Tool.run(Map.of(), "dumpe2fs", "e2fsprogs", List.of("-h", disk.toString())).output())
                .contains("Mount options:            noinit_itable").doesNotContain("has_journal")
                .containsPattern("Reserved block count: +0\n");
        try (Stream<Path> files = Files.list(directory)) {
            assertThat(files).containsExactly(disk);
        }
    }

    @Test
    void refusesAbsurdSizes() throws IOException {
        for (long bytes : List.of(-1L, 0L, WritableDisk.MIN_BYTES - 1, WritableDisk.MAX_BYTES + 1)) {
            assertThatThrownBy(() -> WritableDisk.create(directory.resolve("disk"), bytes))
                    .isInstanceOf(ImageException.class).hasMessageContaining("16 MiB to 4 TiB");
        }
        WritableDisk.create(directory.resolve("disk"), WritableDisk.MIN_BYTES);
    }
}
