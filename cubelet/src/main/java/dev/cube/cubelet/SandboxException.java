package dev.cube.cubelet;

/** A sandbox could not be made, found or used. The message is fit for a user. */
public class SandboxException extends RuntimeException {
    /** What kind of failure, as far as a caller acts on it. */
    public enum Kind { NOT_FOUND, NO_CAPACITY, FAILED }

    private final Kind kind;

    public SandboxException(Kind kind, String message) {
        super(message);
        this.kind = kind;
    }

    public SandboxException(Kind kind, String message, Throwable cause) {
        super(message, cause);
        this.kind = kind;
    }

    public Kind kind() {
        return kind;
    }
}
