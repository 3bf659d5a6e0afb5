package dev.cube.envd.process;

import dev.cube.guest.GuestException;
import dev.cube.guest.GuestProcess;
import dev.cube.guest.ProcessEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one holder of a process in the guest, which gives its events to any number of clients. Output that comes while
 * there is none is dropped. The slowest client sets the pace of all, and of the process. Thread-safe.
 */
final class HeldProcess {
    private static final Logger LOG = LoggerFactory.getLogger(HeldProcess.class);

    private final GuestProcess process;
    private final Optional<String> tag;
    private final boolean pty;
    private volatile boolean stdin;
    private final ReentrantLock lock = new ReentrantLock();
    private List<Subscription> subscriptions = List.of();
    private Outcome outcome;

    /** @param stdin whether its standard input is a pipe */
    HeldProcess(GuestProcess process, Optional<String> tag, boolean pty, boolean stdin) {
        this.process = process;
        this.tag = tag;
        this.pty = pty;
        this.stdin = stdin;
    }

    int pid() {
        return process.pid();
    }

    Optional<String> tag() {
        return tag;
    }

    boolean pty() {
        return pty;
    }

    /** Whether its standard input is a pipe that nobody has closed from here. */
    boolean takesStdin() {
        return stdin;
    }

    void closeStdin() {
        stdin = false;
        process.closeStdin();
    }

    GuestProcess guest() {
        return process;
    }

    /** Events from now on; of a process that has ended, its end. */
    Subscription subscribe() {
        var subscription = new Subscription();
        lock.lock();
        try {
            if (outcome == null) {
                var more = new ArrayList<>(subscriptions);
                more.add(subscription);
                subscriptions = List.copyOf(more);
            } else {
                subscription.finish(outcome);
            }
        } finally {
            lock.unlock();
        }
        return subscription;
    }

    void unsubscribe(Subscription subscription) {
        subscription.close();
        lock.lock();
        try {
            subscriptions = subscriptions.stream().filter(other -> other != subscription).toList();
        } finally {
            lock.unlock();
        }
    }

    /** Starts to pass events on. {@code beforeEnd} runs when there are no more, before the clients are told. */
    void run(Consumer<Outcome> beforeEnd) {
        Thread.ofVirtual().name("process-" + pid()).start(() -> {
            Outcome how = pump();
            beforeEnd.accept(how);
            finish(how);
        });
    }

    private Outcome pump() {
        try (process) {
            while (true) {
                switch (process.next()) {
                    case ProcessEvent.Output output -> deliver(output);
                    case ProcessEvent.Exited exit -> {
                        return new Outcome.Ended(ExitStatus.describe(exit));
                    }
                }
            }
        } catch (GuestException e) {
            return new Outcome.Lost(e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return new Outcome.Lost("the server is stopping");
        } catch (RuntimeException e) {
            LOG.error("process {} is lost", pid(), e);
            return new Outcome.Lost(e.getMessage());
        }
    }

    private void deliver(ProcessEvent.Output output) throws InterruptedException {
        for (Subscription subscription : snapshot()) {
            subscription.deliver(output);
        }
    }

    private List<Subscription> snapshot() {
        lock.lock();
        try {
            return subscriptions;
        } finally {
            lock.unlock();
        }
    }

    private void finish(Outcome how) {
        lock.lock();
        try {
            outcome = how;
            subscriptions.forEach(subscription -> subscription.finish(how));
            subscriptions = List.of();
        } finally {
            lock.unlock();
        }
    }
}
