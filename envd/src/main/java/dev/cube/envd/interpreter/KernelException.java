package dev.cube.envd.interpreter;

/** A kernel broke its protocol or is gone. */
class KernelException extends RuntimeException {
    KernelException(String message) {
        super(message);
    }

    /** The kernel cannot run in this image, and trying again will not help. */
    static final class Unavailable extends KernelException {
        Unavailable(String message) {
            super(message);
        }
    }
}
