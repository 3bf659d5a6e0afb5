package dev.cube.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class BootPatienceTest {
    private static final VmShape SMALL = new VmShape(1, 128);
    private final BootPatience patience =
            new BootPatience(Duration.ofSeconds(1), Duration.ofSeconds(10), 3, Duration.ofHours(1));

    @Test
    void aGuestThatWorksIsWaitedFor() {
        BootPatience.Watch watch = patience.watch(SMALL);
        for (int i = 1; i <= 9; i++) {
            assertThat(watch.problem(Duration.ofSeconds(i))).isNull();
        }
    }

    @Test
    void aGuestThatSpinsIsNot() {
        assertThat(patience.watch(SMALL).problem(Duration.ofSeconds(11))).contains("processor time");
    }

    @Test
    void aGuestThatSleepsIsNot() {
        BootPatience.Watch watch = patience.watch(SMALL);
        assertThat(watch.problem(Duration.ofMillis(1000))).isNull();
        assertThat(watch.problem(Duration.ofMillis(1005))).isNull();
        assertThat(watch.problem(Duration.ofMillis(1010))).isNull();
        assertThat(watch.problem(Duration.ofMillis(1015))).contains("sleeps");
    }

    @Test
    void largeGuestsMayWorkLonger() {
        BootPatience.Watch watch = patience.watch(new VmShape(8, 32768));
        assertThat(watch.problem(Duration.ofSeconds(60))).isNull();
        assertThat(watch.problem(Duration.ofSeconds(70))).isNotNull();
    }

    @Test
    void noBootMayLastForEver() {
        BootPatience.Watch watch = new BootPatience(Duration.ofSeconds(1), Duration.ofSeconds(10), 3, Duration.ZERO)
                .watch(SMALL);
        assertThat(watch.problem(Duration.ofSeconds(1))).contains("did not open");
    }
}
