package dev.cube.guest;

/** The guest sent what its agent never sends: it is hostile or broken, and is cut off. */
final class ProtocolViolation extends RuntimeException {
    ProtocolViolation(String message) {
        super(message, null, false, false);
    }
}
