package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the library writes of guest memory, in a process of src/test/c/memory.c that has nothing but that. */
class MemoryCopyIT {
    private static final long P = Extent.PAGE;
    private static final int PAGES = 40_000;
    private static final MemoryMap NOTHING = new MemoryMap(List.of(), List.of());
    private static final Path PROGRAM = Path.of("target", "memory-test").toAbsolutePath();

    @TempDir
    private Path directory;
    private Process process;
    private MemoryControl control;
    private Path file;

    @BeforeAll
    static void compile() throws Exception {
        Process compiler = new ProcessBuilder("cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror",
                "-o", PROGRAM.toString(), "src/test/c/memory.c").inheritIO().start();
        assertThat(compiler.waitFor()).isZero();
    }

    @BeforeEach
    void start() throws IOException {
        Path memory = directory.resolve("memory");
        try (FileChannel channel = FileChannel.open(memory, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.allocate(1), PAGES * P - 1);
        }
        Path socket = directory.resolve("control.sock");
        ProcessBuilder builder = new ProcessBuilder(PROGRAM.toString(), memory.toString()).inheritIO();
        builder.environment().put("LD_PRELOAD", TestArtifacts.directory().resolve("libcubemem.so").toString());
        builder.environment().put("CUBEMEM_FILE", memory.toString());
        builder.environment().put("CUBEMEM_CONTROL", socket.toString());
        builder.environment().put("CUBEMEM_MODE", "private");
        process = builder.start();
        control = new MemoryControl(UnixConnection.open(socket, Duration.ofSeconds(20), process::isAlive));
        file = directory.resolve("copy");
    }

    @AfterEach
    void end() throws Exception {
        control.close();
        process.destroyForcibly().waitFor();
    }

    @Test
    void pagesFollowEachOther() throws IOException {
        byte[] memory = memory(LongStream.range(0, PAGES).toArray());
        MemoryMap map = copy(NOTHING, new PageRun(3 * P, 2 * P), new PageRun(90 * P, P));
        assertThat(map.extents()).containsExactly(new Extent(3 * P, 2 * P, 0, 0), new Extent(90 * P, P, 0, 2 * P));
        assertThat(contents(map)).isEqualTo(expected(memory, map));
    }

    @Test
    void manyZerosAreLeftOutWhereNothingElseIs() throws IOException {
        byte[] memory = memory(100, 110, 126, 143);
        MemoryMap map = copy(NOTHING, new PageRun(0, 512 * P));
        // Between the second and the third there are 15 pages of zeros, between the third and the fourth 16.
        assertThat(map.extents()).containsExactly(new Extent(100 * P, 27 * P, 0, 0), new Extent(143 * P, P, 0, 27 * P));
        assertThat(contents(map)).isEqualTo(expected(memory, map));
    }

    @Test
    void zerosReplaceWhatIsBelow() throws IOException {
        memory();
        MemoryMap below = new MemoryMap(List.of("below"), List.of(new Extent(200 * P, 50 * P, 0, 0)));
        assertThat(copy(below, new PageRun(0, 512 * P)).extents()).containsExactly(new Extent(200 * P, 50 * P, 0, 0));
    }

    @Test
    void nothingIsCopiedOfNothing() throws IOException {
        memory();
        assertThat(copy(NOTHING).extents()).isEmpty();
        assertThat(file).hasSize(0);
    }

    /** 40,000 pages are more than is written at once, and are written past the page cache. */
    @ParameterizedTest
    @ValueSource(ints = {1, 255, 300, 1024, 1025, 5000, PAGES})
    void whatIsReadFromTheCopyIsWhatWasInMemory(int pages) throws IOException {
        Random random = new Random(pages);
        BitSet written = new BitSet();
        for (int page = 0; page < pages; page += 1 + random.nextInt(40)) {
            written.set(page);
        }
        byte[] memory = memory(written.stream().asLongStream().toArray());
        List<Extent> covered = new ArrayList<>();
        List<PageRun> runs = new ArrayList<>();
        for (int page = 0; page < pages;) {
            int length = Math.min(1 + random.nextInt(200), pages - page);
            if (random.nextBoolean()) {
                covered.add(new Extent(page * P, length * P, 0, page * P));
            }
            if (random.nextInt(6) > 0) {
                PageRun.append(runs, page * P, length * P);
            }
            page += length;
        }
        MemoryMap below = new MemoryMap(List.of("below"), covered);
        MemoryMap map = copy(below, runs.toArray(PageRun[]::new));
        assertThat(contents(map)).isEqualTo(expected(memory, map));
        boolean[] copied = pages(map.extents().stream()
                .map(extent -> new PageRun(extent.guestOffset(), extent.length())).toList());
        boolean[] wanted = pages(runs);
        boolean[] mayBeLeftOut = pages(below.gaps(runs));
        for (int page = 0; page < PAGES; page++) {
            if (copied[page] != wanted[page]) {
                assertThat(wanted[page] && mayBeLeftOut[page] && !written.get(page))
                        .as("page %d is left out", page).isTrue();
            }
        }
    }

    @Test
    void aFileThatCannotBeWrittenIsTold() throws IOException {
        memory(1);
        Path missing = directory.resolve("missing").resolve("copy");
        assertThatThrownBy(() -> control.save(missing, 0, MemoryCopy.SMALLEST_HOLE, List.of(new SavedRun(new PageRun(0, P), false))))
                .isInstanceOf(IOException.class).hasMessageContaining("No such file or directory");
        assertThat(control.info().size()).isEqualTo(PAGES * P);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 40_001 * 4096L, 1L << 62, -4096})
    void runsThatAreNotGuestMemoryAreRefused(long length) throws IOException {
        Files.createFile(file);
        assertThatThrownBy(() -> control.save(file, 0, MemoryCopy.SMALLEST_HOLE, List.of(new SavedRun(new PageRun(P, length), true))))
                .isInstanceOf(IOException.class).hasMessageContaining("errno 22");
        assertThat(file).hasSize(0);
        assertThat(control.info().size()).isEqualTo(PAGES * P);
    }

    /** Gives each of these pages a number of its own, in the middle, and leaves the others zero. */
    private byte[] memory(long... pages) throws IOException {
        ByteBuffer content = ByteBuffer.allocate((int) (PAGES * P)).order(ByteOrder.LITTLE_ENDIAN);
        for (long page : pages) {
            content.putLong((int) (page * P + 2048), page + 1);
        }
        Path image = directory.resolve("image");
        Files.write(image, content.array());
        List<Extent> extents = LongStream.of(pages).mapToObj(page -> new Extent(page * P, P, 0, page * P)).toList();
        control.map(directory, new MemoryMap(List.of("image"), extents.size() <= MemoryMap.MAX_EXTENTS
                ? extents : List.of(new Extent(0, PAGES * P, 0, 0))));
        return content.array();
    }

    private MemoryMap copy(MemoryMap below, PageRun... runs) throws IOException {
        return MemoryCopy.copy(control, below, List.of(runs), file, "copy");
    }

    private static boolean[] pages(List<PageRun> runs) {
        boolean[] result = new boolean[PAGES];
        for (PageRun run : runs) {
            for (long at = run.offset(); at < run.end(); at += P) {
                result[(int) (at / P)] = true;
            }
        }
        return result;
    }

    private byte[] contents(MemoryMap map) throws IOException {
        byte[] copy = Files.readAllBytes(file);
        assertThat((long) copy.length).isEqualTo(map.bytes());
        byte[] result = new byte[(int) (PAGES * P)];
        for (Extent extent : map.extents()) {
            System.arraycopy(copy, (int) extent.fileOffset(), result, (int) extent.guestOffset(), (int) extent.length());
        }
        return result;
    }

    private static byte[] expected(byte[] memory, MemoryMap map) {
        byte[] result = new byte[memory.length];
        for (Extent extent : map.extents()) {
            System.arraycopy(memory, (int) extent.guestOffset(), result, (int) extent.guestOffset(), (int) extent.length());
        }
        return result;
    }
}
