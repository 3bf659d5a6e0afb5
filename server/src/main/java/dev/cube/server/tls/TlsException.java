package dev.cube.server.tls;

/** Certificates could not be made, read or written. The message is fit for an operator. */
public class TlsException extends RuntimeException {
    public TlsException(String message, Throwable cause) {
        super(message, cause);
    }
}
