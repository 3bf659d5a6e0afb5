package dev.cube.server;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestFileReader;
import dev.cube.guest.GuestFileWriter;
import dev.cube.guest.GuestProcess;
import dev.cube.guest.ProcessEvent;
import dev.cube.guest.ProcessSpec;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What a sandbox's first user does, apart from running code: commands as E2B's clients start them, and files. */
final class GuestExercise {
    private static final int ROUNDS = 4;
    /** As clients bound their commands. */
    private static final Duration PATIENCE = Duration.ofMinutes(1);
    private static final String FILE = "/tmp/.cube-exercise";

    private GuestExercise() {}

    static void run(GuestAgent agent) {
        String user = userOf(agent);
        for (int i = 0; i < ROUNDS; i++) {
            command(agent, user, "true", Optional.empty());
            command(agent, user, "cat /proc/uptime > /dev/null; ls / > /dev/null", Optional.empty());
            file(agent, user);
            // The kernel writes back what a sandbox has written some seconds after, if nobody asks it to.
            command(agent, user, "sync", Optional.empty());
        }
        command(agent, user, "true", Optional.of(new ProcessSpec.PtySize(80, 24)));
        agent.processes();
        agent.metrics();
    }

    /** A command of a client's. */
    static void useFirst(GuestAgent agent) {
        command(agent, userOf(agent), "true", Optional.empty());
    }

    private static String userOf(GuestAgent agent) {
        try {
            return agent.user("user").name();
        } catch (GuestException e) {
            return "root";
        }
    }

    /** An image without a shell has nothing to exercise here. */
    private static void command(GuestAgent agent, String user, String command, Optional<ProcessSpec.PtySize> pty) {
        var spec = new ProcessSpec("/bin/bash", List.of("-l", "-c", command), Map.of(), Optional.empty(), user,
                Optional.empty(), pty, false, Optional.of(PATIENCE));
        try (GuestProcess process = agent.start(spec)) {
            while (!(process.next() instanceof ProcessEvent.Exited)) {
                // Its output is of no interest.
            }
        } catch (GuestException e) {
            if (e.kind() == GuestException.Kind.DISCONNECTED) {
                throw e;
            }
        }
    }

    private static void file(GuestAgent agent, String user) {
        byte[] content = new byte[4096];
        try (GuestFileWriter writer = agent.write(FILE, user, Optional.empty())) {
            writer.write(content, 0, content.length);
            writer.commit();
        }
        try (GuestFileReader reader = agent.read(FILE)) {
            reader.input().transferTo(OutputStream.nullOutputStream());
        } catch (IOException e) {
            throw new GuestException(GuestException.Kind.INTERNAL, "a file that was just written cannot be read", e);
        }
        agent.list("/tmp", 1);
        agent.remove(FILE);
    }
}
