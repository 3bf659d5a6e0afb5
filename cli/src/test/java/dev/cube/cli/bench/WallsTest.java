package dev.cube.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class WallsTest {
    @Test
    void dividesTheAverageByTheOperationsOfARound() {
        assertThat(Walls.of(List.of(10.0, 30.0, 50.0), 10)).isEqualTo(new Walls(3, 30, 10, 50, 50, 3));
    }

    @Test
    void aRoundWithAFailureHasNoTime() {
        var collector = new Walls.Collector();
        collector.add("rollback", new Load.Outcome<>(List.of(1, 2), List.of(), Duration.ofMillis(8)));
        collector.add("rollback", new Load.Outcome<>(List.of(1), List.of("no room"), Duration.ofMillis(2)));
        Measured measured = collector.measured("rollback", 2, 2, Map.of());
        assertThat(measured.report().figures()).containsEntry("rollback", new Walls(1, 8, 8, 8, 8, 4));
        assertThat(measured.report().failures()).containsExactly("no room");
        assertThat(measured.notes()).containsExactly("1 failed, the first with: no room");
        assertThat(measured.table().text(false).strip().split(" +"))
                .containsExactly("rollback", "2", "1", "8.0", "8.0", "8.0", "8.0", "4.0");
    }
}
