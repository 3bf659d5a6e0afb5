package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DirtyPagesTest {
    private static final long P = Extent.PAGE;

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
