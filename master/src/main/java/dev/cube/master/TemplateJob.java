package dev.cube.master;

import dev.cube.cubelet.Cubelet;
import dev.cube.cubelet.SandboxException;
import dev.cube.cubelet.Template;
import dev.cube.cubelet.TemplateBuilder;
import dev.cube.hypervisor.VmShape;
import io.micrometer.core.instrument.MeterRegistry;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Makes one template in the background, and keeps a log of it. */
final class TemplateJob {
    private static final Logger LOG = LoggerFactory.getLogger(TemplateJob.class);
    /** What comes from an image or a guest is untrusted, and is kept: it must end somewhere. */
    private static final int MAX_LINES = 10_000;
    private static final int MAX_LINE_CHARS = 2_000;
    /** Longer than any step takes to notice an interruption. */
    private static final Duration CANCEL_WAIT = Duration.ofSeconds(30);

    /** How a job ended. */
    sealed interface Outcome {
        record Built(Template template) implements Outcome {}

        record Failed(String reason) implements Outcome {}
    }

    private final TemplateRow row;
    private final CreateTemplate request;
    private final Path files;
    private final Cubelet cubelet;
    private final TemplateTable table;
    private final Semaphore slots;
    private final MeterRegistry metrics;
    private final Consumer<Outcome> finished;
    private final Thread thread;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition progress = lock.newCondition();
    private int lines;
    private boolean over;

    TemplateJob(TemplateRow row, CreateTemplate request, Path files, Cubelet cubelet, TemplateTable table,
            Semaphore slots, MeterRegistry metrics, Consumer<Outcome> finished) {
        this.row = row;
        this.request = request;
        this.files = files;
        this.cubelet = cubelet;
        this.table = table;
        this.slots = slots;
        this.metrics = metrics;
        this.finished = finished;
        this.thread = Thread.ofVirtual().name("template-" + row.id()).unstarted(this::run);
    }

    void start() {
        thread.start();
    }

    private void run() {
        Outcome outcome = build();
        if (outcome instanceof Outcome.Failed(String reason)) {
            LOG.warn("template {} from {} failed: {}", row.id(), row.image(), reason);
        }
        metrics.counter("cube.template.jobs", "outcome", outcome instanceof Outcome.Built ? "ready" : "failed")
                .increment();
        try {
            finished.accept(outcome);
        } catch (RuntimeException e) {
            LOG.error("template {}: its end could not be written down; the next start will", row.id(), e);
        } finally {
            lock.lock();
            try {
                over = true;
                progress.signalAll();
            } finally {
                lock.unlock();
            }
        }
    }

    private Outcome build() {
        try {
            if (!slots.tryAcquire()) {
                log("Waiting for other templates to be made");
                slots.acquire();
            }
            try {
                Template template = cubelet.templateBuilder().build(new TemplateBuilder.Request(row.image(),
                        request.shape(), row.diskBytes(), row.exposedPorts(), row.probePort()), files, this::log);
                return new Outcome.Built(template);
            } finally {
                slots.release();
            }
        } catch (InterruptedException e) {
            return new Outcome.Failed("It was cancelled");
        } catch (SandboxException e) {
            log("Failed: " + e.getMessage());
            return new Outcome.Failed(e.getMessage());
        } catch (RuntimeException e) {
            LOG.error("template {}", row.id(), e);
            return new Outcome.Failed("An error in the server: " + e);
        }
    }

    private void log(String text) {
        String clean = text.replaceAll("\\p{Cntrl}", " ");
        lock.lock();
        try {
            if (lines == MAX_LINES) {
                return;
            }
            table.appendLog(row.id(), lines, clean.length() <= MAX_LINE_CHARS ? clean
                    : clean.substring(0, MAX_LINE_CHARS) + " …");
            lines++;
            progress.signalAll();
        } catch (MasterException e) {
            LOG.warn("template {}: {}; its log lacks: {}", row.id(), e.getMessage(), clean);
        } finally {
            lock.unlock();
        }
    }

    /** Waits until there is a line at {@code offset}, the job is over, or the time has passed. */
    void awaitLine(int offset, Duration wait) {
        lock.lock();
        try {
            long nanos = wait.toNanos();
            while (lines <= offset && !over && nanos > 0) {
                nanos = progress.awaitNanos(nanos);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            lock.unlock();
        }
    }

    /** Interrupts the job, and waits until it has cleaned up behind itself. */
    void cancelAndWait() {
        thread.interrupt();
        try {
            if (!thread.join(CANCEL_WAIT)) {
                LOG.warn("template {}: its job does not stop; what it leaves is removed at the next start", row.id());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
