package dev.cube.hypervisor;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps children of a parent ready for those who will ask, as many as were asked for of late: few states are started from often,
 * and of those that are nobody knows beforehand. Thread-safe.
 */
final class ReadyChildren {
    private static final Logger LOG = LoggerFactory.getLogger(ReadyChildren.class);
    private static final Duration LATELY = Duration.ofSeconds(30);
    private static final Duration LOOK_EVERY = Duration.ofSeconds(1);
    /** Directories for children that are made ahead of these. */
    private static final int PREPARED = 4;

    private final ForkParent parent;
    private final int most;
    private final RequestsFirst requests = new RequestsFirst(RequestsFirst.FOR_CHILDREN);
    /** Wakes the one up who looks after them. */
    private final Semaphore work = new Semaphore(0);
    /** When VMs were started, by {@link System#nanoTime}, the latest last; guarded by this. */
    private final ArrayDeque<Long> starts = new ArrayDeque<>();
    /** Whether somebody looks after them; guarded by this. */
    private boolean lookedAfter;

    ReadyChildren(ForkParent parent, int most) {
        this.parent = parent;
        this.most = most;
    }

    /** A running child, as by {@link ForkParent#fork}. */
    QemuVm start(VmOwner owner) throws IOException {
        try {
            return requests.serve(() -> parent.fork(owner));
        } finally {
            started();
        }
    }

    private void started() {
        if (most == 0) {
            return;
        }
        boolean alone;
        synchronized (this) {
            starts.addLast(System.nanoTime());
            if (starts.size() > most) {
                starts.removeFirst();
            }
            alone = !lookedAfter;
            lookedAfter = true;
        }
        if (alone) {
            Thread.ofVirtual().name("ready-" + parent.vm().id()).start(this::lookAfterThem);
        }
        work.release();
    }

    /** Until there has been no start for a while. */
    private void lookAfterThem() {
        try {
            while (isWanted()) {
                makeReady();
                work.tryAcquire(LOOK_EVERY.toMillis(), TimeUnit.MILLISECONDS);
                work.drainPermits();
            }
        } catch (IOException | RuntimeException e) {
            LOG.debug("children of {} are not kept ready: {}", parent.vm().id(), e.getMessage());
            synchronized (this) {
                lookedAfter = false;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private synchronized boolean isWanted() {
        if (wanted() == 0 || parent.isRetired()) {
            lookedAfter = false;
            parent.discardReady();
        }
        return lookedAfter;
    }

    private synchronized int wanted() {
        long since = System.nanoTime() - LATELY.toNanos();
        while (!starts.isEmpty() && starts.getFirst() - since < 0) {
            starts.removeFirst();
        }
        return starts.size();
    }

    private void makeReady() throws IOException, InterruptedException {
        while (!parent.isRetired() && parent.ready() < wanted()) {
            requests.giveWay();
            parent.makeReady();
        }
        parent.prepare(PREPARED);
    }
}
