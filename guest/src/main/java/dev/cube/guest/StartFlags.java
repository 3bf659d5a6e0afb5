package dev.cube.guest;

/** Bits of a start request. */
final class StartFlags {
    static final int STDIN = 1;
    static final int PTY = 2;

    private StartFlags() {}
}
