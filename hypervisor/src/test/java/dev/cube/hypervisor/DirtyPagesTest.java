package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DirtyPagesTest {
    private static final long P = Extent.PAGE;

    @ParameterizedTest
    @ValueSource(ints = {1, 511, 512, 513, 2000, 4095, 4096, 4097, 9000})
    void findsEveryWrittenPageOnce(int written, @TempDir Path directory) throws IOException {
        long size = 20_000 * P;
        Path file = directory.resolve("memory");
        try (Arena arena = Arena.ofConfined(); FileChannel channel = FileChannel.open(file,
                StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.allocate(1), size - 1);
            MemorySegment memory = channel.map(FileChannel.MapMode.PRIVATE, 0, size, arena);
            List<PageRun> expected = new ArrayList<>();
            for (int i = 0; i < written; i++) {
                memory.set(ValueLayout.JAVA_BYTE, 2 * i * P, (byte) 1);
                expected.add(new PageRun(2 * i * P, P));
            }
            long self = ProcessHandle.current().pid();
            assertThat(DirtyPages.of(self, memory.address(), size)).isEqualTo(expected);
            assertThat(DirtyPages.readPagemap(self, memory.address(), size)).isEqualTo(expected);
        }
    }

    @Test
    void fewRunsStayAsTheyAre() {
        List<PageRun> runs = List.of(new PageRun(0, P), new PageRun(2 * P, P));
        assertThat(DirtyPages.joined(runs, 2, 10)).isEqualTo(runs);
    }

    @Test
    void smallGapsAreFilledFirst() {
        List<PageRun> runs = List.of(new PageRun(0, P), new PageRun(2 * P, P), new PageRun(20 * P, P));
        assertThat(DirtyPages.joined(runs, 2, 10)).containsExactly(new PageRun(0, 3 * P), new PageRun(20 * P, P));
    }

    @Test
    void largeGapsAreFilledOnlyWhereTheLimitDemandsIt() {
        List<PageRun> runs = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            runs.add(new PageRun(i * 1000 * P, P));
        }
        assertThat(DirtyPages.joined(runs, 10, 100)).hasSize(100);
        assertThat(DirtyPages.joined(runs, 10, 99)).hasSizeLessThanOrEqualTo(10);
    }
}
