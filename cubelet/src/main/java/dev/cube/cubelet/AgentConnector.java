package dev.cube.cubelet;

import dev.cube.guest.Epoch;
import dev.cube.guest.GuestAgent;
import java.nio.file.Path;
import java.time.Duration;

/** Opens the conversation with the agent behind a VM's socket. Thread-safe. */
@FunctionalInterface
public interface AgentConnector {
    /**
     * Connects, and returns when the agent has taken up the epoch.
     *
     * @throws dev.cube.guest.GuestException if it has not within {@code timeout}
     */
    GuestAgent connect(Path socket, Epoch epoch, Duration timeout);
}
