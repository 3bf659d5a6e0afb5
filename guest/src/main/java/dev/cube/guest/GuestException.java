package dev.cube.guest;

/** The guest refused, failed, or is gone. */
public class GuestException extends RuntimeException {
    /** What kind of failure, as far as a caller acts on it. */
    public enum Kind {
        NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, INVALID_ARGUMENT, NOT_A_DIRECTORY, IS_A_DIRECTORY, NO_SPACE,
        UNKNOWN_USER, CONNECTION_REFUSED, RESOURCE_EXHAUSTED, INTERNAL,
        /** The connection to the guest is lost: it was killed, or was cut off for breaking the protocol. */
        DISCONNECTED
    }

    private final Kind kind;

    public GuestException(Kind kind, String message) {
        super(message);
        this.kind = kind;
    }

    public GuestException(Kind kind, String message, Throwable cause) {
        super(message, cause);
        this.kind = kind;
    }

    public Kind kind() {
        return kind;
    }
}
