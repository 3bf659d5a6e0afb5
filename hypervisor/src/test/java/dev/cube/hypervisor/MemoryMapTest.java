package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MemoryMapTest {
    private static final long P = Extent.PAGE;

    @Test
    void anUpperExtentSplitsALowerOne() {
        MemoryMap lower = new MemoryMap(List.of("a"), List.of(new Extent(0, 10 * P, 0, 0)));
        MemoryMap upper = new MemoryMap(List.of("b"), List.of(new Extent(4 * P, 2 * P, 0, 0)));
        assertThat(lower.under(upper)).isEqualTo(new MemoryMap(List.of("a", "b"), List.of(
                new Extent(0, 4 * P, 0, 0), new Extent(4 * P, 2 * P, 1, 0), new Extent(6 * P, 4 * P, 0, 6 * P))));
    }

    @Test
    void filesWithoutExtentsAreDropped() {
        MemoryMap lower = new MemoryMap(List.of("a", "b"), List.of(new Extent(0, P, 0, 0), new Extent(P, P, 1, 0)));
        MemoryMap upper = new MemoryMap(List.of("c"), List.of(new Extent(0, P, 0, 0)));
        assertThat(lower.under(upper)).isEqualTo(new MemoryMap(List.of("c", "b"),
                List.of(new Extent(0, P, 0, 0), new Extent(P, P, 1, 0))));
    }

    @Test
    void adjacentPiecesOfOneFileAreOneExtent() {
        MemoryMap lower = new MemoryMap(List.of("a"), List.of());
        MemoryMap upper = new MemoryMap(List.of("b"), List.of(new Extent(0, P, 0, 0), new Extent(P, P, 0, P)));
        assertThat(lower.under(upper).extents()).containsExactly(new Extent(0, 2 * P, 0, 0));
    }

    @Test
    void gapsAreWhatNoExtentCovers() {
        MemoryMap map = new MemoryMap(List.of("a"), List.of(new Extent(2 * P, 2 * P, 0, 0), new Extent(6 * P, P, 0, 2 * P)));
        assertThat(map.gaps(List.of(new PageRun(0, 10 * P))))
                .containsExactly(new PageRun(0, 2 * P), new PageRun(4 * P, 2 * P), new PageRun(7 * P, 3 * P));
        assertThat(map.gaps(List.of(new PageRun(P, P), new PageRun(3 * P, P), new PageRun(5 * P, P), new PageRun(6 * P, P))))
                .containsExactly(new PageRun(P, P), new PageRun(5 * P, P));
        assertThat(new MemoryMap(List.of(), List.of()).gaps(List.of(new PageRun(P, P)))).containsExactly(new PageRun(P, P));
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void everyPageComesFromTheTopmostMapThatHasIt(long seed) {
        Random random = new Random(seed);
        int pages = 64;
        String[] expected = new String[pages];
        MemoryMap map = new MemoryMap(List.of(), List.of());
        for (int layer = 0; layer < 12; layer++) {
            List<Extent> extents = new ArrayList<>();
            long fileOffset = 0;
            for (int page = random.nextInt(8); page < pages;) {
                int length = Math.min(1 + random.nextInt(6), pages - page);
                extents.add(new Extent(page * P, length * P, 0, fileOffset));
                for (int i = 0; i < length; i++) {
                    expected[page + i] = "file" + layer + "@" + (fileOffset + i * P);
                }
                fileOffset += length * P + (random.nextBoolean() ? P : 0);
                page += length + random.nextInt(10);
            }
            map = map.under(new MemoryMap(List.of("file" + layer), extents));
            assertThat(pagesOf(map, pages)).containsExactly(expected);
        }
    }

    private static String[] pagesOf(MemoryMap map, int pages) {
        String[] result = new String[pages];
        for (Extent extent : map.extents()) {
            for (long at = 0; at < extent.length(); at += P) {
                result[(int) ((extent.guestOffset() + at) / P)] =
                        map.files().get(extent.file()) + "@" + (extent.fileOffset() + at);
            }
        }
        return result;
    }

    @Test
    void nonsenseIsRefused() {
        assertThatThrownBy(() -> new Extent(1, P, 0, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Extent(0, 0, 0, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Extent(-P, P, 0, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Extent(0, Long.MAX_VALUE / P * P, 0, P))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new MemoryMap(List.of("a"), List.of(new Extent(0, P, 1, 0))))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new MemoryMap(List.of("a"), List.of(new Extent(0, 2 * P, 0, 0), new Extent(P, P, 0, 0))))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
