package dev.cube.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.cube.cli.bench.Stall.Reading;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class StallTest {
    private static final long MILLI = 1_000_000;
    private static final long GUEST_STARTED = 5_000 * MILLI;
    private static final long FROM = 11_000 * MILLI;
    private static final long OVER = FROM + 30 * MILLI;
    private static final long TO = FROM + 500 * MILLI;

    @Test
    void findsHowLongTheGuestsClockStoodStillThoughReadingsAreLate() {
        Stall stall = Stall.of(readings(12 * MILLI, 1_100_000), FROM, OVER, TO);
        assertThat(stall.stopped()).isCloseTo(12, within(0.2));
        assertThat(stall.longestGap()).isEqualTo(1.1);
        assertThat(stall.total()).isCloseTo(13.1, within(0.2));
    }

    @Test
    void findsWhatHeldTheGuestUpWhileItsClockWentOn() {
        List<Reading> readings = readings(0, 1_100_000);
        replaceGap(readings, FROM + 5 * MILLI, 9 * MILLI);
        replaceGap(readings, FROM - 15 * MILLI, 3 * MILLI);
        Stall stall = Stall.of(readings, FROM, OVER, TO);
        assertThat(stall.stopped()).isCloseTo(0, within(0.2));
        assertThat(stall.longestGap()).isEqualTo(9);
        assertThat(stall.usualGap()).isEqualTo(3);
    }

    @Test
    void looksAtNoGapOutsideTheEvent() {
        List<Reading> readings = readings(0, MILLI);
        replaceGap(readings, FROM - 1500 * MILLI, 50 * MILLI);
        replaceGap(readings, TO + 100 * MILLI, 50 * MILLI);
        Stall stall = Stall.of(readings, FROM, OVER, TO);
        assertThat(stall.longestGap()).isEqualTo(1);
        assertThat(stall.usualGap()).isEqualTo(1);
    }

    @Test
    void knowsNothingWhereReadingsStop() {
        List<Reading> readings = readings(0, MILLI);
        assertThat(Stall.of(List.of(), FROM, OVER, TO)).isEqualTo(Stall.UNKNOWN);
        readings.removeIf(reading -> reading.arrived() > FROM);
        assertThat(Stall.of(readings, FROM, OVER, TO).total()).isNaN();
    }

    /** One every 10 ms of the guest's clock for 2 s before and after the event, on the way for 0.3 to 8 ms. */
    private static List<Reading> readings(long stopped, long gap) {
        var random = new Random(1);
        List<Reading> readings = new ArrayList<>();
        for (long now = FROM - 2_000 * MILLI; now < TO + 2_000 * MILLI; now += 10 * MILLI) {
            long guest = now - GUEST_STARTED - (now > FROM ? stopped : 0);
            readings.add(new Reading(now + random.nextLong(300_000, 8 * MILLI), guest, gap));
        }
        return readings;
    }

    private static void replaceGap(List<Reading> readings, long at, long gap) {
        for (int i = 0; i < readings.size(); i++) {
            Reading reading = readings.get(i);
            if (reading.guest() + GUEST_STARTED >= at) {
                readings.set(i, new Reading(reading.arrived(), reading.guest(), gap));
                return;
            }
        }
    }
}
