package dev.cube.envd.interpreter;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import java.security.SecureRandom;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A context: its kernel, found or started when it is needed, and the executions that take turns on it. Thread-safe.
 * All methods throw {@link GuestException} when the guest is lost.
 */
final class Context {
    private static final Logger LOG = LoggerFactory.getLogger(Context.class);
    private static final SecureRandom RANDOM = new SecureRandom();

    /** Enough for all of a simple cell's way to be taken with caches filled. */
    private static final int PLAIN_EXECUTIONS = 5;

    private final GuestAgent agent;
    private final KernelFiles files;
    private final ContextTag tag;
    private final String user;
    /** Held by the execution that runs, and by whoever changes the kernel. */
    private final ReentrantLock turn = new ReentrantLock(true);
    private OptionalInt runningPid;
    /** Written with {@link #turn} held. */
    private volatile Kernel kernel;
    private volatile boolean removed;

    /** @param pid the kernel's process, where there is one already */
    Context(GuestAgent agent, KernelFiles files, ContextTag tag, String user, OptionalInt pid) {
        this.agent = agent;
        this.files = files;
        this.tag = tag;
        this.user = user;
        runningPid = pid;
    }

    ContextTag tag() {
        return tag;
    }

    ContextInfo info() {
        return new ContextInfo(tag.id(), tag.language().id(), tag.cwd());
    }

    /** Starts the kernel if it does not run; {@link KernelException} if it cannot. */
    void start() {
        turn.lock();
        try {
            hold();
        } finally {
            turn.unlock();
        }
    }

    /**
     * Starts the kernel, runs typical cells in it, which it forgets, and has it leave a copy that others are forked from.
     * Returns what it said about that.
     */
    String warmUp() {
        turn.lock();
        try {
            if (kernel == null && runningPid.isEmpty()) {
                startAnew();
            }
            String said = request("warm", Map.of("plain", false));
            request("zygote", Map.of());
            return said;
        } finally {
            turn.unlock();
        }
    }

    /** Runs simple cells, which leave their traces. */
    void exercise() {
        turn.lock();
        try {
            for (int i = 0; i < PLAIN_EXECUTIONS; i++) {
                runSimpleCell();
            }
        } finally {
            turn.unlock();
        }
    }

    /** Runs a simple cell, which leaves its traces. */
    void runSimpleCell() {
        turn.lock();
        try {
            Kernel running = hold();
            String id = newExecutionId();
            running.execute(id, "1+1", Map.of());
            running.awaitBegin(id);
            while (!(running.next() instanceof KernelEvent.End)) {
                // What it says is of no interest.
            }
        } finally {
            turn.unlock();
        }
    }

    /** Runs cells that need no library, and has the kernel forget all that it did. */
    void exerciseAndForget() {
        turn.lock();
        try {
            exercise();
            request("warm", Map.of("plain", true));
        } finally {
            turn.unlock();
        }
    }

    private String request(String operation, Map<String, Object> more) {
        Kernel asked = hold();
        String id = newExecutionId();
        var fields = new HashMap<String, Object>(more);
        fields.put("op", operation);
        fields.put("id", id);
        asked.request(fields);
        asked.awaitBegin(id);
        var said = new StringBuilder();
        while (true) {
            switch (asked.next()) {
                case KernelEvent.Text text -> said.append(text.text());
                case KernelEvent.End(_) -> {
                    return said.toString();
                }
                default -> { }
            }
        }
    }

    /** Runs a cell and tells the client of it up to its end; one whose client has gone is interrupted. */
    void execute(String code, Map<String, String> environment, Client client) {
        turn.lock();
        try {
            if (client.gone()) {
                return;
            }
            if (removed) {
                client.error("UnexpectedEndOfExecution", "Context was removed", "");
                return;
            }
            run(code, environment, client);
        } finally {
            turn.unlock();
        }
    }

    /** Ends the kernel, with what it runs, and starts a new one. */
    void restart() {
        end();
        turn.lock();
        try {
            drop();
            hold();
        } finally {
            turn.unlock();
        }
    }

    /** Ends the kernel for good. */
    void remove() {
        removed = true;
        end();
        turn.lock();
        try {
            drop();
        } finally {
            turn.unlock();
        }
    }

    /** Lets go of the kernel, which runs on. */
    void release() {
        Kernel held = kernel;
        if (held != null) {
            held.close();
        }
    }

    private void run(String code, Map<String, String> environment, Client client) {
        String id = newExecutionId();
        Optional<KernelEvent.Begin> begun = begin(id, code, environment);
        if (begun.isEmpty()) {
            // It died while idle, or was broken: nothing of this cell has run, so a new kernel may run it.
            drop();
            begun = begin(id, code, environment);
        }
        if (begun.isEmpty()) {
            drop();
            client.error("UnexpectedEndOfExecution", "The kernel ends as soon as it is started", "");
            return;
        }
        var interruption = new Interruption(kernel, tag.language().endsOnInterrupt());
        client.onGone(interruption::request);
        client.executions(begun.get().count());
        try {
            relay(id, client);
        } catch (KernelException e) {
            LOG.info("context {} ends in an execution: {}", tag.id(), e.getMessage());
            client.error("ContextRestarting", "Context was restarted", "");
            interruption.finish();
            drop();
        } finally {
            interruption.finish();
        }
    }

    private Optional<KernelEvent.Begin> begin(String id, String code, Map<String, String> environment) {
        Kernel ready = hold();
        try {
            ready.execute(id, code, environment);
            return Optional.of(ready.awaitBegin(id));
        } catch (KernelException e) {
            LOG.info("context {} has lost its kernel: {}", tag.id(), e.getMessage());
            return Optional.empty();
        } catch (GuestException e) {
            if (e.kind() == GuestException.Kind.DISCONNECTED) {
                throw e;
            }
            LOG.info("context {} has lost its kernel: {}", tag.id(), e.getMessage());
            return Optional.empty();
        }
    }

    private void relay(String id, Client client) {
        while (true) {
            if (!kernel.hasNext()) {
                client.flush();
            }
            switch (kernel.next()) {
                case KernelEvent.Text text -> client.text(text);
                case KernelEvent.Result result -> client.result(result);
                case KernelEvent.Failure(String name, String value, String traceback) ->
                        client.error(name, value, traceback);
                case KernelEvent.End(String ended) when ended.equals(id) -> {
                    return;
                }
                default -> throw new KernelException("the kernel sent an event out of turn");
            }
        }
    }

    /** The kernel: held, found again, or new. */
    private Kernel hold() {
        if (kernel != null) {
            return kernel;
        }
        if (runningPid.isPresent()) {
            try {
                kernel = Kernel.attach(agent, runningPid.getAsInt(), tag.language());
                return kernel;
            } catch (GuestException e) {
                if (e.kind() != GuestException.Kind.NOT_FOUND) {
                    throw e;
                }
                runningPid = OptionalInt.empty();
            }
        }
        Optional<Kernel> forked = Kernel.fork(agent, files, tag, user);
        if (forked.isPresent()) {
            take(forked.get());
        } else {
            startAnew();
            if (tag.language() == Language.PYTHON) {
                request("zygote", Map.of());
            }
        }
        return kernel;
    }

    private void startAnew() {
        take(Kernel.start(agent, files, tag, user));
    }

    private void take(Kernel started) {
        kernel = started;
        runningPid = OptionalInt.of(started.pid());
    }

    /** Makes sure that the kernel is gone. */
    private void drop() {
        Kernel dropped = kernel;
        kernel = null;
        if (dropped != null) {
            dropped.end();
            dropped.close();
        }
        runningPid = OptionalInt.empty();
    }

    private void end() {
        Kernel held = kernel;
        if (held != null) {
            held.kill();
        } else {
            turn.lock();
            try {
                if (runningPid.isPresent()) {
                    hold().kill();
                }
            } finally {
                turn.unlock();
            }
        }
    }

    private static String newExecutionId() {
        byte[] id = new byte[8];
        RANDOM.nextBytes(id);
        return HexFormat.of().formatHex(id);
    }

    /** Interrupts one execution, never the one after it, and does so until that one ends. */
    private static final class Interruption {
        /**
         * Before the first interrupt. A cell that is about to end needs none, and Node dies of one in the instants in which
         * it changes its way of waiting for it, as it does when a cell has run up to where it waits.
         */
        private static final long FIRST_PAUSE_MILLISECONDS = 50;

        /** Longest pause between two interrupts. */
        private static final long LONGEST_PAUSE_MILLISECONDS = 20_000;

        /** After so long without effect an interrupt becomes a kill, where a kernel cannot be trusted to obey. */
        private static final long PATIENCE_MILLISECONDS = 5_000;

        private final Kernel kernel;
        private final boolean obeys;
        private final ReentrantLock lock = new ReentrantLock();
        private final Condition over = lock.newCondition();
        private boolean finished;

        Interruption(Kernel kernel, boolean obeys) {
            this.kernel = kernel;
            this.obeys = obeys;
        }

        void request() {
            Thread.ofVirtual().name("interrupt-" + kernel.pid()).start(this::interrupt);
        }

        /** The execution is over; waits for an interrupt that is on its way. */
        void finish() {
            lock.lock();
            try {
                finished = true;
                over.signalAll();
            } finally {
                lock.unlock();
            }
        }

        // Once is not enough: a call of system() takes the interrupt for itself, and a cell may catch it.
        private void interrupt() {
            lock.lock();
            try {
                long begin = System.nanoTime();
                pause(FIRST_PAUSE_MILLISECONDS);
                long pause = 4 * FIRST_PAUSE_MILLISECONDS;
                while (!finished) {
                    if (!obeys && System.nanoTime() - begin > TimeUnit.MILLISECONDS.toNanos(PATIENCE_MILLISECONDS)) {
                        LOG.info("kernel {} does not obey an interrupt and is killed", kernel.pid());
                        kernel.kill();
                        return;
                    }
                    kernel.interrupt();
                    pause(pause);
                    pause = Math.min(2 * pause, LONGEST_PAUSE_MILLISECONDS);
                }
            } catch (GuestException e) {
                LOG.debug("kernel {} was gone before it was interrupted: {}", kernel.pid(), e.getMessage());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } finally {
                lock.unlock();
            }
        }

        /** Returns at once when the execution is over. */
        private void pause(long milliseconds) throws InterruptedException {
            long left = TimeUnit.MILLISECONDS.toNanos(milliseconds);
            while (!finished && left > 0) {
                left = over.awaitNanos(left);
            }
        }
    }
}
