package dev.cube.guest;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A process to start in the guest.
 *
 * @param command     program, looked up in the process's PATH
 * @param args        arguments, without the program's name
 * @param environment added to the sandbox's environment and to the user's (HOME, USER, SHELL, PATH)
 * @param cwd         working directory; empty: the user's home
 * @param user        name of a user in the image; empty: its default user, see {@link GuestAgent}
 * @param tag         by which the process can be found again; not unique
 * @param pty         given: the process gets a terminal of this size, and its output is one stream
 * @param stdin       whether its standard input is a pipe; otherwise it is {@code /dev/null}; ignored with a pty
 * @param timeout     after which the guest kills its process group, whether or not a host is there; in milliseconds
 */
public record ProcessSpec(String command, List<String> args, Map<String, String> environment, Optional<String> cwd,
        String user, Optional<String> tag, Optional<PtySize> pty, boolean stdin, Optional<Duration> timeout) {

    /** A process that may run for ever. */
    public ProcessSpec(String command, List<String> args, Map<String, String> environment, Optional<String> cwd,
            String user, Optional<String> tag, Optional<PtySize> pty, boolean stdin) {
        this(command, args, environment, cwd, user, tag, pty, stdin, Optional.empty());
    }

    /** Columns and rows of a terminal. */
    public record PtySize(int cols, int rows) {}
}
