package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Forks stopped QEMUs. Thread-safe, for one fork of each QEMU at a time. */
final class Forks implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Forks.class);
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration LOOK_EVERY = Duration.ofMillis(200);
    private static final Path NOTHING = Path.of("/dev/null");
    private static final String CONTROL = "control";

    private final Machine machine;
    private final Optional<ForkListener> listener;
    private final AtomicLong running = new AtomicLong();

    /** @param listener absent where QEMUs cannot be forked */
    Forks(Machine machine, Optional<ForkListener> listener) {
        this.machine = machine;
        this.listener = listener;
    }

    /** Opens the place where forked QEMUs connect to, if the machine's can be forked. */
    static Forks open(Machine machine) {
        if (machine.forkable()) {
            try {
                return new Forks(machine, Optional.of(ForkListener.open(machine.config().home().resolve("fork.sock"))));
            } catch (IOException e) {
                LOG.warn("VMs are not forked: {}", e.getMessage());
            }
        }
        return new Forks(machine, Optional.empty());
    }

    /** Whether QEMUs are forked at all. */
    boolean possible() {
        return listener.isPresent();
    }

    Machine machine() {
        return machine;
    }

    /**
     * Makes sure that a QEMU can be forked.
     *
     * @throws IOException saying what stands against it
     */
    void check(QemuHandle qemu) throws IOException {
        String libc = qemu.control().checkFork();
        Optional<String> objection = LiveForkVersions.objection(machine.config().liveFork(), machine.version(), libc);
        if (objection.isPresent()) {
            throw new IOException(objection.get());
        }
    }

    /** A fork under way: the parent need not stand still any longer. */
    final class Started {
        private final QemuHandle parent;
        private final VmDirectory child;
        private final ForkListener.Expected expected;
        private final long pid;

        private Started(QemuHandle parent, VmDirectory child, ForkListener.Expected expected, long pid) {
            this.parent = parent;
            this.child = child;
            this.expected = expected;
            this.pid = pid;
        }

        /**
         * The child, stopped. Until it is told that it is wanted ({@link MemoryControl#adopt}) it ends with its connection, and so
         * with this server. Where that fails, nothing is left of it, nor of its directory.
         */
        QemuHandle complete() throws IOException {
            QemuProcess process = null;
            Map<String, SocketChannel> channels;
            try (expected) {
                process = QemuProcess.forked(pid);
                channels = connections(expected, process);
            } catch (IOException | RuntimeException e) {
                if (process != null) {
                    process.kill();
                }
                throw removed(child, e);
            }
            QemuHandle.ShutdownNotes notes = new QemuHandle.ShutdownNotes();
            QmpClient qmp = QmpClient.over(channels.get(qmpName(child)), child.id(), notes);
            MemoryControl control = new MemoryControl(channels.get(CONTROL));
            return new QemuHandle(child, process, qmp, control, parent.memory(), notes);
        }
    }

    /**
     * Forks a stopped QEMU. The child's overlays must be in its directory already. Where that fails, nothing is left of the child,
     * nor of its directory.
     *
     * @param overlays numbers of those that the parent has opened for writing, and the child will
     */
    Started start(QemuHandle parent, VmDirectory child, List<Integer> overlays) throws IOException {
        try {
            return start(parent, child, overlays, Optional.empty())
                    .orElseThrow(() -> new IOException("the memory library did not fork"));
        } catch (IOException | RuntimeException e) {
            throw removed(child, e);
        }
    }

    /**
     * Forks a QEMU whose machine runs; it goes on, and so does the child, when it is adopted. The child's overlays must be there, but
     * need not have their content before that. Where this fails the child's directory is left.
     *
     * @return empty if the machine has written to its disk since, or is never at rest
     */
    Optional<Started> startRunning(QemuHandle parent, VmDirectory child, List<Integer> overlays, ForkRequest.Running running)
            throws IOException {
        Optional<Started> started = start(parent, child, overlays, Optional.of(running));
        started.ifPresent(fork -> this.running.incrementAndGet());
        return started;
    }

    /** How many QEMUs were forked whose machine ran. */
    long running() {
        return running.get();
    }

    private Optional<Started> start(QemuHandle parent, VmDirectory child, List<Integer> overlays, Optional<ForkRequest.Running> running)
            throws IOException {
        if (listener.isEmpty()) {
            throw new IOException("QEMU is not forked here");
        }
        VmDirectory own = parent.directory();
        List<ForkRequest.File> files = new ArrayList<>(List.of(
                new ForkRequest.File(own.log(), child.log()),
                // Only its mapping mattered, which has given way to the image's.
                new ForkRequest.File(own.memory(), NOTHING)));
        overlays.forEach(overlay -> files.add(new ForkRequest.File(own.overlay(overlay), child.overlay(overlay))));
        ForkRequest request = new ForkRequest(child.path(), listener.get().socket(), files,
                List.of(new ForkRequest.Socket(child.qmpSocket(), false), new ForkRequest.Socket(child.agentSocket(), true),
                        new ForkRequest.Socket(child.controlSocket(), true)), running);
        ForkListener.Expected expected = listener.get().expect(Set.of(qmpName(child), CONTROL));
        try {
            ForkRequest.Outcome outcome = parent.qmp().whileQuiet(() -> parent.control().fork(request, expected.token()));
            LOG.debug("forked {}: {}", child.id(), outcome);
            if (outcome.pid() == 0) {
                expected.close();
                return Optional.empty();
            }
            return Optional.of(new Started(parent, child, expected, outcome.pid()));
        } catch (IOException | RuntimeException e) {
            expected.close();
            throw e;
        }
    }

    /** That of the connection which the child makes in place of one over its parent's socket. */
    private static String qmpName(VmDirectory child) {
        return child.qmpSocket().getFileName().toString();
    }

    /** The reason of a failure, with the child's last words before its directory is removed. */
    private static IOException removed(VmDirectory child, Exception e) {
        String words = child.lastWords();
        child.delete();
        return new IOException(e.getMessage() + (words.isEmpty() ? "" : "; QEMU said: " + words), e);
    }

    /** A child that cannot complete ends, and is not waited for any longer. */
    private static Map<String, SocketChannel> connections(ForkListener.Expected expected, QemuProcess child)
            throws IOException {
        long deadline = System.nanoTime() + CONNECT_TIMEOUT.toNanos();
        while (true) {
            Optional<Map<String, SocketChannel>> channels = expected.await(LOOK_EVERY);
            if (channels.isPresent()) {
                return channels.get();
            }
            if (child.hasEnded() || System.nanoTime() > deadline) {
                throw new IOException("a forked QEMU did not connect");
            }
        }
    }

    @Override
    public void close() {
        listener.ifPresent(ForkListener::close);
    }
}
