package dev.cube.proxy;

import static org.awaitility.Awaitility.await;

import dev.cube.guest.AgentConnection;
import dev.cube.guest.Epoch;
import dev.cube.guest.GuestAgent;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;

/** The guest's agent as a process of this machine, built from its sources: its files and ports are the machine's. */
final class HostAgent implements AutoCloseable {
    private static final Path SOURCES = Path.of("../guest/src/main/c").toAbsolutePath().normalize();
    private static final Path BUILD = Path.of("target/agent").toAbsolutePath();
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private final Process process;
    private final Path socket;

    HostAgent(Path directory) throws IOException, InterruptedException {
        Files.createDirectories(BUILD);
        Path binary = BUILD.resolve("agent");
        int built = new ProcessBuilder("make", "-s", "-C", SOURCES.toString(), "OUT=" + BUILD, binary.toString())
                .inheritIO().start().waitFor();
        if (built != 0) {
            throw new IllegalStateException("the agent does not build");
        }
        socket = directory.resolve("agent.sock");
        process = new ProcessBuilder(binary.toString(), socket.toString(), directory.toString())
                .redirectErrorStream(true).redirectOutput(directory.resolve("agent.log").toFile()).start();
        await().atMost(PATIENCE).until(() -> Files.exists(socket));
    }

    /** A connection as after a restore. */
    GuestAgent restored() {
        return AgentConnection.open(socket, new Epoch.Restored("cube-test", Map.of("SANDBOX", "1")), PATIENCE);
    }

    /** A connection as after a restart of the host's server. */
    GuestAgent reattached() {
        return AgentConnection.open(socket, new Epoch.Reattached(), PATIENCE);
    }

    @Override
    public void close() throws InterruptedException {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
        process.waitFor();
    }
}
