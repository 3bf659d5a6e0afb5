package dev.cube.master;

import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes logs and metrics of sandboxes to the database now and then, on a thread of its own, and once more when the
 * server stops. One that is killed loses what came since.
 */
final class HistorySaver implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(HistorySaver.class);
    private static final Duration LOGS_INTERVAL = Duration.ofSeconds(10);
    /** All of a sandbox's metrics are written each time. */
    private static final Duration METRICS_INTERVAL = Duration.ofMinutes(5);

    private final Runnable saveLogs;
    private final Runnable saveMetrics;
    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("sandbox-histories").factory());

    HistorySaver(LocalSandboxLogs logs, LocalMetering metering) {
        saveLogs = () -> save("logs", logs::save);
        saveMetrics = () -> save("metrics", metering::save);
    }

    void start() {
        timer.scheduleWithFixedDelay(saveLogs, LOGS_INTERVAL.toMillis(), LOGS_INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
        timer.scheduleWithFixedDelay(saveMetrics, METRICS_INTERVAL.toMillis(), METRICS_INTERVAL.toMillis(),
                TimeUnit.MILLISECONDS);
    }

    private static void save(String what, Runnable save) {
        try {
            save.run();
        } catch (RuntimeException e) {
            LOG.error("the sandboxes' {} were not saved", what, e);
        }
    }

    @Override
    public void close() {
        timer.close();
        saveLogs.run();
        saveMetrics.run();
    }
}
