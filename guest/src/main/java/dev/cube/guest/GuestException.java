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
    private final boolean cutOff;

    public GuestException(Kind kind, String message) {
        this(kind, message, null);
    }

    public GuestException(Kind kind, String message, Throwable cause) {
        this(kind, message, cause, false);
    }

    private GuestException(Kind kind, String message, Throwable cause, boolean cutOff) {
        super(message, cause);
        this.kind = kind;
        this.cutOff = cutOff;
    }

    /** A {@code DISCONNECTED} guest that has broken the protocol. */
    public static GuestException cutOff(String message, Throwable cause) {
        return new GuestException(Kind.DISCONNECTED, message, cause, true);
    }

    public Kind kind() {
        return kind;
    }

    /** Whether the guest broke the protocol: it is hostile or broken, and not worth another connection. */
    public boolean isCutOff() {
        return cutOff;
    }
}
