package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SparseFileTest {
    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 4095, 4096, 4097, 100_000})
    void makesFilesOfTheSameContent(int size) throws Exception {
        Random random = new Random(size);
        for (int round = 0; round < 20; round++) {
            byte[] content = new byte[size];
            for (int i = 0; i < round && size > 0; i++) {
                content[random.nextInt(size)] = (byte) random.nextInt(3);
            }
            Path from = Files.write(directory.resolve("from"), content);
            Path to = directory.resolve("to-" + round);

            SparseFile.read(from).create(to);

            assertThat(to).hasBinaryContent(content);
        }
    }

    @Test
    void zerosTakeNoRoom() throws Exception {
        byte[] content = new byte[300_000];
        content[70_000] = 2;
        Path from = Files.write(directory.resolve("from"), content);
        Path to = directory.resolve("to");

        SparseFile.read(from).create(to);

        // The page with the byte, and the one that the file ends in.
        assertThat(to).hasSize(300_000);
        assertThat(OverlayCopyTest.blocks(to)).isEqualTo(2 * 4096 / 512);
    }

    @Test
    void overwritesNothing() throws Exception {
        Path there = Files.writeString(directory.resolve("there"), "mine");

        assertThatThrownBy(() -> SparseFile.read(there).create(there)).isInstanceOf(FileAlreadyExistsException.class);
        assertThat(there).hasContent("mine");
    }
}
