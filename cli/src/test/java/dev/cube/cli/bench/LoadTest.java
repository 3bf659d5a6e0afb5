package dev.cube.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.sdk.CubeException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class LoadTest {
    private final Progress progress = Progress.start(new PrintWriter(new StringWriter()), "test", 10, true);

    @Test
    void runsAsManyAtOnceAsAsked() {
        var barrier = new CyclicBarrier(5);
        var outcome = Load.run(5, 10, progress, () -> {
            try {
                return barrier.await();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        assertThat(outcome.results()).hasSize(10);
        assertThat(outcome.successPercent()).isEqualTo(100);
    }

    @Test
    void countsFailures() {
        var calls = new AtomicInteger();
        var outcome = Load.run(2, 4, progress, () -> {
            if (calls.incrementAndGet() == 2) {
                throw new CubeException(503, "full");
            }
            return 1;
        });
        assertThat(outcome.results()).hasSize(3);
        assertThat(outcome.failures()).containsExactly("full");
        assertThat(outcome.successPercent()).isEqualTo(75);
    }

    @Test
    void doesToEachItemOnce() {
        var outcome = Load.each(2, List.of("a", "b", "c"), progress, String::toUpperCase);
        assertThat(outcome.results()).containsExactlyInAnyOrder("A", "B", "C");
    }

    @Test
    void endsWhenTheProgramItselfIsWrong() {
        assertThatThrownBy(() -> Load.run(2, 4, progress, () -> {
            throw new ArithmeticException("wrong");
        })).hasMessageContaining("wrong");
    }
}
