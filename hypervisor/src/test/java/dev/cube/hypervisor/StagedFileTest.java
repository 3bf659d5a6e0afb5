package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StagedFileTest {
    private static final int PAGE = (int) Extent.PAGE;
    private static final int PART = 16 * PAGE;
    private static final long MOST = 200 * PART;

    @TempDir
    private Path directory;
    private Path file;

    @BeforeEach
    void create() throws IOException {
        file = Files.createFile(directory.resolve("file"));
    }

    @Test
    void partsFollowEachOther() throws IOException {
        Random random = new Random(1);
        ByteArrayOutputStream expected = new ByteArrayOutputStream();
        try (StagedFile staged = open()) {
            for (int i = 0; i < 200; i++) {
                byte[] part = new byte[random.nextInt(17) * PAGE];
                random.nextBytes(part);
                expected.writeBytes(part);
                staged.append((memory, position) -> put(memory, position, part));
            }
            staged.finish();
        }
        assertThat(Files.readAllBytes(file)).isEqualTo(expected.toByteArray());
    }

    /** Room for {@link #MOST} bytes was reserved. */
    @Test
    void nothingIsWrittenOfNothing() throws IOException {
        try (StagedFile staged = open()) {
            staged.append((memory, position) -> 0);
            staged.finish();
        }
        assertThat(file).hasSize(0);
    }

    @Test
    void aPartThatCannotBeFilledIsTold() throws IOException {
        try (StagedFile staged = open()) {
            staged.append((memory, position) -> put(memory, position, new byte[PART]));
            assertThatThrownBy(() -> staged.append((memory, position) -> {
                throw new IOException("gone");
            })).isInstanceOf(IOException.class).hasMessage("gone");
        }
    }

    /** Whoever writes past the page cache writes whole blocks. */
    @Test
    void aPartThatCannotBeWrittenIsTold() throws IOException {
        try (StagedFile staged = open()) {
            staged.append((memory, position) -> put(memory, position, new byte[PART]));
            staged.append((memory, position) -> put(memory, position, new byte[100]));
            assertThatThrownBy(staged::finish).isInstanceOf(IOException.class);
        }
    }

    private StagedFile open() throws IOException {
        Optional<StagedFile> staged = StagedFile.open(file, MOST, PART);
        assumeThat(staged).as("the file system has writing past the page cache").isPresent();
        return staged.orElseThrow();
    }

    private static long put(Path memory, long position, byte[] bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(memory, StandardOpenOption.WRITE)) {
            return channel.write(ByteBuffer.wrap(bytes), position);
        }
    }
}
