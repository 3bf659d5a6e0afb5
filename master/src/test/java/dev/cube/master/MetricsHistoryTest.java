package dev.cube.master;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class MetricsHistoryTest {
    private static final Instant BEGIN = Instant.ofEpochSecond(1000);

    private final MetricsHistory history = new MetricsHistory(Duration.ofSeconds(5));

    private void add(double second) {
        history.add(new SandboxMetrics(BEGIN.plusMillis((long) (second * 1000)), 2, 0, 0, 0, 0, 0, 0));
    }

    private List<Long> seconds(Long start, Long end) {
        return history.between(Optional.ofNullable(start).map(BEGIN::plusSeconds),
                Optional.ofNullable(end).map(BEGIN::plusSeconds)).stream()
                .map(metrics -> Duration.between(BEGIN, metrics.at()).toSeconds()).toList();
    }

    @Test
    void givesWhatIsBetweenTwoMoments() {
        for (int i = 0; i < 5; i++) {
            add(5 * i);
        }
        assertThat(seconds(null, null)).containsExactly(0L, 5L, 10L, 15L, 20L);
        assertThat(seconds(5L, 15L)).containsExactly(5L, 10L, 15L);
        assertThat(seconds(21L, null)).isEmpty();
    }

    @Test
    void keepsAFigureForEachIntervalAndTheLatest() {
        for (int i = 0; i <= 11; i++) {
            add(i);
        }
        assertThat(history.latest().orElseThrow().at()).isEqualTo(BEGIN.plusSeconds(11));
        assertThat(seconds(null, null)).containsExactly(0L, 3L, 6L, 9L, 11L);
    }

    @Test
    void coversALongLifeInLittleMemory() {
        for (int i = 0; i < 24 * 3600; i += 5) {
            add(i);
        }
        List<Long> kept = seconds(null, null);
        assertThat(kept).hasSizeBetween(MetricsHistory.CAPACITY / 2, MetricsHistory.CAPACITY).startsWith(0L)
                .endsWith(24 * 3600 - 5L);
        for (int i = 1; i < kept.size(); i++) {
            assertThat(kept.get(i) - kept.get(i - 1)).isBetween(5L, 640L);
        }
    }
}
