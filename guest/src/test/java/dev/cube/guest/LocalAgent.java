package dev.cube.guest;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/**
 * The agent as an ordinary process of this machine, serving a unix socket instead of a VM's port. Also for the tests of
 * other modules.
 */
public final class LocalAgent implements AutoCloseable {
    static final Duration TIMEOUT = Duration.ofSeconds(20);
    private static final Path SOURCES = Path.of("../guest/src/main/c").toAbsolutePath().normalize();
    private static final Path BUILD = Path.of("target/agent-under-test").toAbsolutePath();

    private final Path directory;
    private final Process process;

    private LocalAgent(Path directory, Process process) {
        this.directory = directory;
        this.process = process;
    }

    /** Builds the agent if its sources are newer, and starts it with its files in {@code directory}. */
    public static LocalAgent start(Path directory) {
        try {
            build();
            Path socket = directory.resolve("agent.sock");
            Process process = new ProcessBuilder(BUILD.resolve("agent").toString(), socket.toString(),
                    directory.toString()).redirectErrorStream(true)
                    .redirectOutput(directory.resolve("agent.log").toFile()).start();
            long deadline = System.nanoTime() + TIMEOUT.toNanos();
            while (!Files.exists(socket)) {
                if (!process.isAlive() || System.nanoTime() > deadline) {
                    process.destroyForcibly();
                    throw new IllegalStateException("the agent did not start");
                }
                TimeUnit.MILLISECONDS.sleep(1);
            }
            return new LocalAgent(directory, process);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static synchronized void build() throws IOException, InterruptedException {
        Files.createDirectories(BUILD);
        Process make = new ProcessBuilder("make", "-s", "-C", SOURCES.toString(), "OUT=" + BUILD,
                BUILD.resolve("agent").toString()).inheritIO().start();
        if (make.waitFor() != 0) {
            throw new IllegalStateException("make failed");
        }
    }

    Path socket() {
        return directory.resolve("agent.sock");
    }

    public AgentConnection connect(Epoch epoch) {
        return AgentConnection.open(socket(), epoch, TIMEOUT);
    }

    public long residentBytes() throws IOException {
        return Files.readAllLines(Path.of("/proc/%d/status".formatted(process.pid()))).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024).findFirst().orElseThrow();
    }

    @Override
    public void close() {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
        try {
            process.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
