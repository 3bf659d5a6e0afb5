package dev.cube.cli;

import dev.cube.sdk.CubeException;
import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;

/** Errors as one line on standard error. Exit status: 1 where the command failed, 2 where it was called wrongly. */
public final class Errors {
    private Errors() {}

    /** Makes a command report its errors so. */
    public static CommandLine oneLine(CommandLine commandLine) {
        return commandLine
                .setExecutionExceptionHandler((exception, command, result) -> {
                    print(command, message(exception));
                    return 1;
                })
                .setParameterExceptionHandler((exception, args) -> {
                    CommandLine command = exception.getCommandLine();
                    print(command, exception.getMessage());
                    if (exception instanceof ParameterException && !CommandLine.UnmatchedArgumentException
                            .printSuggestions(exception, command.getErr())) {
                        command.getErr().println("Try: " + command.getCommandSpec().qualifiedName() + " --help");
                    }
                    return 2;
                });
    }

    private static String message(Exception exception) {
        return exception instanceof CubeException || exception instanceof IllegalStateException
                ? exception.getMessage()
                : exception.toString();
    }

    private static void print(CommandLine command, String message) {
        PrintWriter err = command.getErr();
        err.println(command.getCommandSpec().root().name() + ": " + message);
        err.flush();
    }
}
