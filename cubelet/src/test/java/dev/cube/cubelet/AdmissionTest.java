package dev.cube.cubelet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class AdmissionTest {
    private static final long MIB = 1 << 20;

    private final AtomicLong available = new AtomicLong(400 * MIB);

    private Admission admission(int maxSandboxes) {
        return new Admission(new NodeLimits(maxSandboxes, 100 * MIB, 100 * MIB, Duration.ofSeconds(1)),
                () -> new MemoryInfo(1000 * MIB, available.get()));
    }

    @Test
    void countsWhatIsBeingStartedAgainstMemory() {
        Admission admission = admission(10);
        Admission.Ticket first = admission.admit();
        admission.admit();
        admission.admit();

        assertThatExceptionOfType(SandboxException.class).isThrownBy(admission::admit)
                .withMessageContaining("400 MiB are available, 100 MiB of them are in reserve, and 400 MiB are needed")
                .satisfies(e -> assertThat(e.kind()).isEqualTo(SandboxException.Kind.NO_CAPACITY));

        first.settled();
        first.settled();
        admission.admit();
        assertThatExceptionOfType(SandboxException.class).isThrownBy(admission::admit);
    }

    @Test
    void looksAtTheMachinesMemoryOnceSandboxesHaveSettled() {
        Admission admission = admission(10);
        admission.admit().settled();
        available.set(199 * MIB);
        assertThatExceptionOfType(SandboxException.class).isThrownBy(admission::admit);
        available.set(200 * MIB);
        admission.admit();
    }

    @Test
    void refusesMoreThanTheLimitUntilOneIsGone() {
        Admission admission = admission(2);
        Admission.Ticket first = admission.admit();
        first.settled();
        admission.adopted();

        assertThatExceptionOfType(SandboxException.class).isThrownBy(admission::admit)
                .withMessageContaining("runs 2 sandboxes, which is its limit");

        first.close();
        first.close();
        admission.admit();
        assertThatExceptionOfType(SandboxException.class).isThrownBy(admission::admit);
    }

    @Test
    void readsTheKernelsFigures() {
        MemoryInfo info = MemoryInfo.parse("MemTotal:       24683520 kB\nMemFree:  1 kB\nMemAvailable:   23000000 kB\n");
        assertThat(info).isEqualTo(new MemoryInfo(24683520L << 10, 23000000L << 10));
        assertThat(MemoryInfo.read().availableBytes()).isPositive().isLessThan(MemoryInfo.read().totalBytes());
    }
}
