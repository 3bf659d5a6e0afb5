package dev.cube.sdk;

/**
 * How a command ended. Unlike in E2B's clients an exit status other than 0 is no exception.
 *
 * @param error set where it did not exit by itself, for example by a signal; null otherwise
 */
public record CommandResult(int exitCode, String stdout, String stderr, String error) {}
