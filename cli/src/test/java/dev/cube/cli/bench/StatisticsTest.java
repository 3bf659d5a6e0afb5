package dev.cube.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class StatisticsTest {
    @Test
    void percentilesAreSamplesOfTheNearestRank() {
        Statistics s = Statistics.of(IntStream.rangeClosed(1, 200).mapToObj(i -> (double) (201 - i)).toList());
        assertThat(s).isEqualTo(new Statistics(200, 100.5, 1, 100, 180, 190, 198, 200));
    }

    @Test
    void aSingleSampleIsEveryFigure() {
        assertThat(Statistics.of(List.of(7.0))).isEqualTo(new Statistics(1, 7, 7, 7, 7, 7, 7, 7));
    }

    @Test
    void noSamplesHaveNoFigures() {
        Statistics s = Statistics.of(List.of());
        assertThat(s.count()).isZero();
        assertThat(s.p99()).isNaN();
    }
}
