package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OverlayCopyTest {
    @TempDir
    Path directory;
    private Path from;
    private Path to;

    @BeforeEach
    void names() {
        from = directory.resolve("from");
        to = directory.resolve("to");
    }

    @Test
    void isTheSameWithHolesForZeros() throws Exception {
        byte[] content = new byte[300_000];
        content[0] = 1;
        content[70_000] = 2;
        Files.write(from, content);
        try (OverlayCopy copy = new OverlayCopy(from, to)) {
            assertThat(to).isEmptyFile();
            copy.update();
        }
        assertThat(to).hasBinaryContent(content);
        assertThat(blocks(to)).isEqualTo(3 * 4096 / 512);
    }

    @Test
    void isOfATimeThatIsLongEnoughAgo() throws Exception {
        FileTime earlier = FileTime.from(Instant.now().minusSeconds(10));
        FileTime later = FileTime.from(Instant.now().minusSeconds(5));
        Files.write(from, new byte[] {1});
        assertThat(OverlayCopy.settled(from)).isEmpty();
        Files.setLastModifiedTime(from, earlier);
        assertThat(OverlayCopy.settled(from)).contains(earlier);
        try (OverlayCopy copy = new OverlayCopy(from, to)) {
            assertThat(copy.isOf(earlier)).as("before it was made").isFalse();
            copy.update();
            assertThat(copy.isOf(earlier)).isTrue();
            assertThat(copy.isOf(later)).isFalse();
            Files.setLastModifiedTime(from, later);
            assertThat(copy.isOf(earlier)).as("written to since").isFalse();
            assertThat(copy.isOf(later)).isFalse();
        }
    }

    @Test
    void takesOverWhatHasChangedAndWhatWasAdded() throws Exception {
        Random random = new Random(7);
        try (RandomAccessFile overlay = new RandomAccessFile(from.toFile(), "rw")) {
            overlay.setLength(10_000);
            try (OverlayCopy copy = new OverlayCopy(from, to)) {
                for (int round = 0; round < 200; round++) {
                    byte[] piece = new byte[random.nextInt(9_000)];
                    if (round % 3 > 0) {
                        random.nextBytes(piece); // otherwise zeros
                    }
                    overlay.seek(random.nextLong(overlay.length() + 5_000));
                    overlay.write(piece);
                    copy.update();
                    assertThat(to).hasSameBinaryContentAs(from);
                }
                copy.update();
            }
        }
        assertThat(to).hasSameBinaryContentAs(from);
    }

    @Test
    void whatWasWrittenLongAgoIsNotReadAgainUntilItIsWrittenTo() throws Exception {
        Files.write(from, new byte[] {1, 2, 3});
        Files.setLastModifiedTime(from, FileTime.from(Instant.now().minusSeconds(60)));
        try (OverlayCopy copy = new OverlayCopy(from, to)) {
            copy.update();
            Files.write(to, new byte[] {7});
            copy.update();
            assertThat(to).as("not looked at").hasBinaryContent(new byte[] {7});
            try (RandomAccessFile overlay = new RandomAccessFile(from.toFile(), "rw")) {
                overlay.write(4);
            }
            copy.update();
        }
        assertThat(to).hasBinaryContent(new byte[] {4, 2, 3});
    }

    @Test
    void whatWasJustWrittenIsReadAgain() throws Exception {
        Files.write(from, new byte[] {1, 2, 3});
        FileTime now = Files.getLastModifiedTime(from);
        try (OverlayCopy copy = new OverlayCopy(from, to)) {
            copy.update();
            try (RandomAccessFile overlay = new RandomAccessFile(from.toFile(), "rw")) {
                overlay.write(4);
            }
            Files.setLastModifiedTime(from, now);
            copy.update();
        }
        assertThat(to).hasBinaryContent(new byte[] {4, 2, 3});
    }

    @Test
    void anEmptyOneIsEmpty() throws Exception {
        Files.createFile(from);
        try (OverlayCopy copy = new OverlayCopy(from, to)) {
            copy.update();
        }
        assertThat(to).isEmptyFile();
    }

    @Test
    void whatIsNotThereOrIsTooLargeIsRefused() throws Exception {
        assertThatThrownBy(() -> new OverlayCopy(from, to)).isInstanceOf(NoSuchFileException.class);
        assertThat(to).doesNotExist();
        try (RandomAccessFile overlay = new RandomAccessFile(from.toFile(), "rw")) {
            overlay.setLength(1L << 40);
        }
        try (OverlayCopy copy = new OverlayCopy(from, to)) {
            assertThatThrownBy(copy::update).isInstanceOf(IOException.class).hasMessageContaining("too large");
        }
        assertThatThrownBy(() -> new OverlayCopy(from, to)).isInstanceOf(FileAlreadyExistsException.class);
    }

    /** Of 512 bytes, as they are in use on disk. */
    static long blocks(Path file) throws IOException {
        Process process = new ProcessBuilder("stat", "-c", "%b", file.toString()).redirectErrorStream(true).start();
        return Long.parseLong(new String(process.getInputStream().readAllBytes()).strip());
    }
}
