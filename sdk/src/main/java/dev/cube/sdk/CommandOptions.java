package dev.cube.sdk;

import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * How to run a command.
 *
 * @param cwd         working directory; empty: the user's home
 * @param user        who it runs as; empty: the sandbox's default user
 * @param environment added to the sandbox's
 * @param stdin       whether it is to have an open standard input
 * @param onStdout    is given output as it comes, in pieces that may split a character
 * @param onStderr    likewise
 */
public record CommandOptions(Optional<String> cwd, Optional<String> user, Map<String, String> environment,
        boolean stdin, Consumer<byte[]> onStdout, Consumer<byte[]> onStderr) {

    public static final CommandOptions DEFAULT = new CommandOptions(
            Optional.empty(), Optional.empty(), Map.of(), false, output -> {}, output -> {});

    public CommandOptions withCwd(String directory) {
        return new CommandOptions(Optional.of(directory), user, environment, stdin, onStdout, onStderr);
    }

    public CommandOptions withUser(String name) {
        return new CommandOptions(cwd, Optional.of(name), environment, stdin, onStdout, onStderr);
    }

    public CommandOptions withEnvironment(Map<String, String> variables) {
        return new CommandOptions(cwd, user, variables, stdin, onStdout, onStderr);
    }

    public CommandOptions withStdin() {
        return new CommandOptions(cwd, user, environment, true, onStdout, onStderr);
    }

    public CommandOptions withOutput(Consumer<byte[]> stdout, Consumer<byte[]> stderr) {
        return new CommandOptions(cwd, user, environment, stdin, stdout, stderr);
    }
}
