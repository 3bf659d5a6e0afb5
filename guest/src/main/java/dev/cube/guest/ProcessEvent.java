package dev.cube.guest;

/** What a process did. An {@link Exited} is the last one, after all output. */
public sealed interface ProcessEvent {
    enum Stream { STDOUT, STDERR, PTY }

    record Output(Stream stream, byte[] data) implements ProcessEvent {}

    /**
     * @param exitCode exit status, 0 if a signal ended it
     * @param signal   number of the signal that ended it, or 0
     */
    record Exited(int exitCode, int signal) implements ProcessEvent {}
}
