package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import dev.cube.cubelet.SandboxException;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestMetrics;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Measures one sandbox. The host counts the processor time of its VM; memory and disk only the guest knows, and it is
 * asked for them only if it did something since: a sandbox that sleeps is not woken to be measured. Thread-safe.
 */
final class SandboxMeter {
    private static final Logger LOG = LoggerFactory.getLogger(SandboxMeter.class);
    /** Of one processor; what an idle guest's kernel takes is a tenth of it. */
    private static final double IDLE_SHARE = 0.02;
    /** Figures that are younger than this are fresh enough for whoever asks. */
    private static final Duration FRESH = Duration.ofSeconds(1);

    private final ReentrantLock lock = new ReentrantLock();
    private final MetricsHistory history;
    private Optional<GuestMetrics> guest = Optional.empty();
    private String vmId = "";
    private Duration processorTime = Duration.ZERO;
    private Instant measuredAt = Instant.EPOCH;

    SandboxMeter(MetricsHistory history) {
        this.history = history;
    }

    /**
     * Measures unless somebody does already, whom the guest may have wait.
     *
     * @return whether the sandbox did something since it was measured before
     */
    boolean measureIfFree(Sandbox sandbox) {
        if (!lock.tryLock()) {
            return false;
        }
        try {
            return measure(sandbox, false);
        } finally {
            lock.unlock();
        }
    }

    /** Measures now, and asks the guest too, unless the last figures are fresh. */
    void refresh(Sandbox sandbox) {
        lock.lock();
        try {
            if (guest.isEmpty() || Duration.between(measuredAt, Instant.now()).compareTo(FRESH) >= 0) {
                measure(sandbox, true);
            }
        } finally {
            lock.unlock();
        }
    }

    Optional<SandboxMetrics> latest() {
        lock.lock();
        try {
            return history.latest();
        } finally {
            lock.unlock();
        }
    }

    List<SandboxMetrics> between(Optional<Instant> start, Optional<Instant> end) {
        lock.lock();
        try {
            return history.between(start, end);
        } finally {
            lock.unlock();
        }
    }

    MetricsHistory.Saved saved() {
        lock.lock();
        try {
            return history.saved();
        } finally {
            lock.unlock();
        }
    }

    private boolean measure(Sandbox sandbox, boolean askGuest) {
        try {
            boolean sameVm = vmId.equals(sandbox.vmId());
            Duration time = sandbox.processorTime();
            Instant now = Instant.now().truncatedTo(ChronoUnit.MILLIS);
            // Nothing is known of the time before a VM was measured first.
            double share = sameVm && now.isAfter(measuredAt)
                    ? (double) time.minus(processorTime).toNanos() / Duration.between(measuredAt, now).toNanos() : 0;
            boolean active = !sameVm || share > IDLE_SHARE;
            if (askGuest || active || guest.isEmpty()) {
                guest = Optional.of(sandbox.agent().metrics());
            }
            vmId = sandbox.vmId();
            processorTime = time;
            measuredAt = now;
            history.add(figures(now, sandbox.shape().vcpus(), share, guest.get()));
            return active;
        } catch (SandboxException | GuestException e) {
            LOG.debug("sandbox {} cannot be measured: {}", sandbox.id(), e.getMessage());
            return false;
        }
    }

    private static SandboxMetrics figures(Instant now, int processors, double share, GuestMetrics guest) {
        double percent = Math.min(100, 100 * share / processors);
        return new SandboxMetrics(now, processors, Math.round(percent * 100) / 100.0, guest.memoryTotalBytes(),
                guest.memoryUsedBytes(), guest.memoryCachedBytes(), guest.diskTotalBytes(), guest.diskUsedBytes());
    }
}
