package dev.cube.envd.interpreter;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestProcess;
import dev.cube.guest.ProcessEvent;
import dev.cube.guest.ProcessSpec;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The host's hold of a kernel's process in the guest. For one thread, but for {@link #interrupt} and {@link #kill}.
 * Methods throw {@link KernelException} when the kernel ends or breaks its protocol, {@link GuestException} when the
 * guest is lost.
 */
final class Kernel implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Kernel.class);
    /** What a kernel may take to start: a cold interpreter in a guest without hardware virtualisation needs seconds. */
    private static final Duration START_LIMIT = Duration.ofMinutes(2);
    private static final int MAX_DIAGNOSTICS = 4096;
    private static final int SIGINT = 2;
    private static final int SIGKILL = 9;

    private final GuestAgent agent;
    private final GuestProcess process;
    private final KernelProtocol protocol;
    private final StringBuilder diagnostics = new StringBuilder();
    private volatile boolean interrupted;
    private boolean ready;
    private boolean exited;

    private Kernel(GuestAgent agent, GuestProcess process, Language language) {
        this.agent = agent;
        this.process = process;
        protocol = KernelProtocol.of(language);
    }

    /**
     * Starts a kernel and waits until it takes requests.
     *
     * @throws KernelException.Unavailable if the image cannot run it
     */
    static Kernel start(GuestAgent agent, KernelFiles files, ContextTag tag, String user) {
        files.install(agent, tag.language());
        return launch(agent, tag, user, files.arguments(tag.language()));
    }

    /** Has a running kernel's copy fork a new one; empty where there is none. */
    static Optional<Kernel> fork(GuestAgent agent, KernelFiles files, ContextTag tag, String user) {
        Optional<List<String>> arguments = files.forkArguments(tag.language());
        if (arguments.isEmpty()) {
            return Optional.empty();
        }
        try {
            return Optional.of(launch(agent, tag, user, arguments.get()));
        } catch (KernelException e) {
            LOG.debug("no {} kernel could be forked: {}", tag.language(), e.getMessage());
            return Optional.empty();
        }
    }

    private static Kernel launch(GuestAgent agent, ContextTag tag, String user, List<String> arguments) {
        var spec = new ProcessSpec(tag.language().program(), arguments, Map.of(), Optional.of(tag.cwd()), user,
                Optional.of(tag.encode()), Optional.empty(), true);
        Kernel kernel = new Kernel(agent, agent.start(spec), tag.language());
        Thread watchdog = Thread.ofVirtual().start(kernel::killIfSlow);
        try {
            kernel.awaitReady();
            return kernel;
        } catch (KernelException e) {
            kernel.end();
            kernel.close();
            throw e;
        } finally {
            watchdog.interrupt();
        }
    }

    /** Takes hold of a kernel that runs already, in whatever it is doing. */
    static Kernel attach(GuestAgent agent, int pid, Language language) {
        var kernel = new Kernel(agent, agent.attach(pid), language);
        kernel.ready = true;
        return kernel;
    }

    int pid() {
        return process.pid();
    }

    /** Asks for the execution of a cell, which interrupts that were sent before do not reach. */
    void execute(String id, String code, Map<String, String> environment) {
        if (interrupted) {
            interrupted = false;
            write(protocol.settle());
        }
        write(protocol.execute(id, code, environment));
    }

    /** Asks for something else, of kernels that know of it. */
    void request(Map<String, Object> fields) {
        if (!(protocol instanceof JsonProtocol json)) {
            throw new IllegalStateException("a kernel that only executes");
        }
        write(json.request(fields));
    }

    private void write(byte[] data) {
        process.write(data, 0, data.length);
    }

    /** Waits for the execution to begin, and passes over what is left of earlier ones. */
    KernelEvent.Begin awaitBegin(String id) {
        while (true) {
            KernelEvent event;
            receive();
            try {
                event = protocol.poll();
            } catch (KernelException e) {
                continue; // the rest of a line that began before this hold
            }
            if (event instanceof KernelEvent.Begin begin && begin.id().equals(id)) {
                return begin;
            }
        }
    }

    /** Whether an event has arrived already. */
    boolean hasNext() {
        return protocol.hasNext();
    }

    KernelEvent next() {
        while (true) {
            receive();
            KernelEvent event = protocol.poll();
            if (event != null) {
                return event;
            }
        }
    }

    /** Sends SIGINT to the kernel and, as it leads a process group, to the children that a cell may wait for. */
    void interrupt() {
        interrupted = true;
        agent.signal(process.pid(), SIGINT);
    }

    /** Ends the kernel and its children. */
    void kill() {
        try {
            agent.signal(process.pid(), SIGKILL);
        } catch (GuestException e) {
            LOG.debug("kernel {} was gone before it was killed: {}", process.pid(), e.getMessage());
        }
    }

    /** Ends the kernel and waits until it is gone. */
    void end() {
        if (exited) {
            return;
        }
        kill();
        while (!exited) {
            exited = process.next() instanceof ProcessEvent.Exited;
        }
    }

    /** Lets go of the kernel, which runs on. */
    @Override
    public void close() {
        process.close();
    }

    private void awaitReady() {
        while (true) {
            switch (next()) {
                case KernelEvent.Ready() -> {
                    ready = true;
                    return;
                }
                case KernelEvent.Fatal(String message) -> throw new KernelException.Unavailable(message);
                case KernelEvent.Text _ -> { } // kept as diagnostics already
                default -> throw new KernelException("the kernel spoke before it was ready");
            }
        }
    }

    private void killIfSlow() {
        try {
            Thread.sleep(START_LIMIT);
            LOG.warn("kernel {} did not start within {} s", process.pid(), START_LIMIT.toSeconds());
            kill();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt(); // it has started
        }
    }

    /** Waits until there may be an event. */
    private void receive() {
        while (!protocol.hasNext()) {
            switch (process.next()) {
                case ProcessEvent.Output(ProcessEvent.Stream stream, byte[] data) -> {
                    if (!ready && stream != ProcessEvent.Stream.STDOUT) {
                        remember(data);
                    }
                    protocol.add(stream, data);
                }
                case ProcessEvent.Exited(int exitCode, int signal) -> {
                    exited = true;
                    throw exited(exitCode, signal);
                }
            }
        }
    }

    private void remember(byte[] data) {
        int room = MAX_DIAGNOSTICS - diagnostics.length();
        diagnostics.append(new String(data, 0, Math.min(room, data.length), StandardCharsets.UTF_8));
    }

    private KernelException exited(int exitCode, int signal) {
        String how = signal != 0 ? "was ended by signal " + signal : "exited with status " + exitCode;
        String said = diagnostics.isEmpty() ? "" : ": " + diagnostics.toString().strip();
        String message = "the kernel " + how + said;
        // What shells and exec wrappers exit with when they find no program.
        return exitCode == 127 || exitCode == 126 ? new KernelException.Unavailable(message)
                : new KernelException(message);
    }
}
