package dev.cube.sdk;

/** A call failed. The message is the server's own where there was an answer, and is fit for a user. */
public class CubeException extends RuntimeException {
    private final int status;

    /** Without an answer from the server: {@link #status} is 0. */
    public CubeException(String message) {
        this(0, message);
    }

    /** Without an answer from the server: {@link #status} is 0. */
    public CubeException(String message, Throwable cause) {
        super(message, cause);
        this.status = 0;
    }

    public CubeException(int status, String message) {
        super(message);
        this.status = status;
    }

    /** The HTTP status of the answer; 0 if there was none. */
    public int status() {
        return status;
    }

    public boolean isNotFound() {
        return status == 404;
    }
}
