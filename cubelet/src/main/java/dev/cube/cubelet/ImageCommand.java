package dev.cube.cubelet;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestProcess;
import dev.cube.guest.ProcessEvent;
import dev.cube.guest.ProcessSpec;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.function.Consumer;

/** The image's own command, running in the guest; what it prints goes to the log until it is let go of. */
final class ImageCommand implements AutoCloseable {
    private final GuestProcess process;
    private volatile Optional<ProcessEvent.Exited> exit = Optional.empty();
    private volatile boolean closed;

    ImageCommand(GuestAgent agent, ProcessSpec spec, Consumer<String> log) {
        process = agent.start(spec);
        Thread.ofVirtual().name("image-command").start(() -> read(log));
    }

    private void read(Consumer<String> log) {
        try {
            while (true) {
                switch (process.next()) {
                    case ProcessEvent.Output output ->
                            new String(output.data(), StandardCharsets.UTF_8).lines().forEach(log);
                    case ProcessEvent.Exited exited -> {
                        exit = Optional.of(exited);
                        log.accept("The image's command ended with " + describe(exited));
                        return;
                    }
                }
            }
        } catch (GuestException e) {
            if (!closed) {
                log.accept("The image's command can no longer be followed: " + e.getMessage());
            }
        }
    }

    private static String describe(ProcessEvent.Exited exited) {
        return exited.signal() != 0 ? "signal " + exited.signal() : "status " + exited.exitCode();
    }

    /** How it ended, if it has. */
    Optional<String> ended() {
        return exit.map(ImageCommand::describe);
    }

    /** Lets the command run on; what it prints from now on is dropped. */
    @Override
    public void close() {
        closed = true;
        process.close();
    }
}
