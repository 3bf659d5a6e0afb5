package dev.cube.envd.interpreter;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
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
    private static final JsonMapper JSON = new JsonMapper();
    /** What a kernel may take to start: a cold interpreter in a guest without hardware virtualisation needs seconds. */
    private static final Duration START_LIMIT = Duration.ofMinutes(2);
    private static final int MAX_DIAGNOSTICS = 4096;
    private static final int SIGINT = 2;
    private static final int SIGKILL = 9;

    private final GuestAgent agent;
    private final GuestProcess process;
    private final LineBuffer lines = new LineBuffer(KernelEvent.MAX_LINE);
    private final StringBuilder diagnostics = new StringBuilder();
    private boolean exited;

    private Kernel(GuestAgent agent, GuestProcess process) {
        this.agent = agent;
        this.process = process;
    }

    /**
     * Starts a kernel and waits until it takes requests.
     *
     * @throws KernelException.Unavailable if the image cannot run it
     */
    static Kernel start(GuestAgent agent, KernelFiles files, ContextTag tag, String user) {
        files.install(agent, tag.language());
        var spec = new ProcessSpec(tag.language().program(), files.arguments(tag.language()), Map.of(),
                Optional.of(tag.cwd()), user, Optional.of(tag.encode()), Optional.empty(), true);
        Kernel kernel = new Kernel(agent, agent.start(spec));
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
    static Kernel attach(GuestAgent agent, int pid) {
        return new Kernel(agent, agent.attach(pid));
    }

    int pid() {
        return process.pid();
    }

    /** Sends a request: an object of the protocol's fields. */
    void send(Map<String, Object> request) {
        byte[] line;
        try {
            line = (JSON.writeValueAsString(request) + "\n").getBytes(StandardCharsets.UTF_8);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
        process.write(line, 0, line.length);
    }

    /** Waits for the execution to begin, and passes over what is left of earlier ones. */
    KernelEvent.Begin awaitBegin(String id) {
        while (true) {
            byte[] line = nextLine();
            KernelEvent event;
            try {
                event = KernelEvent.parse(line);
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
        return !lines.isEmpty();
    }

    KernelEvent next() {
        return KernelEvent.parse(nextLine());
    }

    /** Sends SIGINT to the kernel and, as it leads a process group, to the children that a cell may wait for. */
    void interrupt() {
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
                    return;
                }
                case KernelEvent.Fatal(String message) -> throw new KernelException.Unavailable(message);
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

    private byte[] nextLine() {
        while (true) {
            for (byte[] line = lines.poll(); line != null; line = lines.poll()) {
                if (line.length > 0) {
                    return line;
                }
            }
            switch (process.next()) {
                case ProcessEvent.Output(ProcessEvent.Stream stream, byte[] data)
                        when stream == ProcessEvent.Stream.STDOUT -> lines.add(data);
                case ProcessEvent.Output(_, byte[] data) -> remember(data);
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
