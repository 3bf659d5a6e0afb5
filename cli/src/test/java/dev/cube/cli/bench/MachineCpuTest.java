package dev.cube.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class MachineCpuTest {
    @Test
    void countsWhatIsNeitherIdleNorOfOtherMachines() {
        assertThat(MachineCpu.busyMillis(List.of("cpu  100 10 1000 5000 7000 3 4 9000 50 5", "cpu0 1 1 1 1 1 1 1 1 1 1")))
                .isEqualTo((100 + 10 + 1000 + 3 + 4) * 10);
    }

    @Test
    void saysWhenItDoesNotKnow() {
        assertThat(MachineCpu.busyMillis(List.of("intr 1"))).isNaN();
    }
}
