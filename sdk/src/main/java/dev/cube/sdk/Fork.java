package dev.cube.sdk;

/** What came of one fork of a sandbox; each succeeds or fails on its own. */
public sealed interface Fork {
    /** It runs. */
    record Made(Sandbox sandbox) implements Fork {}

    /** It could not be made, for a reason that the error gives as if the request had been for it alone. */
    record Failed(CubeException error) implements Fork {}
}
