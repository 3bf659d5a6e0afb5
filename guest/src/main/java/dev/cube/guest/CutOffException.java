package dev.cube.guest;

/** The guest broke the protocol and was cut off: it is hostile or broken, and not worth another connection. */
public final class CutOffException extends GuestException {
    public CutOffException(String message, Throwable cause) {
        super(Kind.DISCONNECTED, message, cause);
    }
}
