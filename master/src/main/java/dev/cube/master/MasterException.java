package dev.cube.master;

/** A request that cannot be met. The message is fit for a user. */
public class MasterException extends RuntimeException {
    /** What kind of failure, as far as a caller acts on it. */
    public enum Kind { INVALID, FORBIDDEN, NOT_FOUND, CONFLICT, NO_CAPACITY, FAILED }

    private final Kind kind;

    public MasterException(Kind kind, String message) {
        super(message);
        this.kind = kind;
    }

    public MasterException(Kind kind, String message, Throwable cause) {
        super(message, cause);
        this.kind = kind;
    }

    public Kind kind() {
        return kind;
    }
}
