package dev.cube.envd.connect;

import dev.cube.guest.GuestException;

/** Ends a call with an error; the message is for the client. */
public final class ConnectException extends RuntimeException {
    private final Code code;

    public ConnectException(Code code, String message) {
        super(message, null, false, false);
        this.code = code;
    }

    public Code code() {
        return code;
    }

    /** The error that stands for a failure in the guest, where the call has no better one. */
    static ConnectException of(GuestException failure) {
        Code code = switch (failure.kind()) {
            case NOT_FOUND -> Code.NOT_FOUND;
            case ALREADY_EXISTS -> Code.ALREADY_EXISTS;
            case PERMISSION_DENIED -> Code.PERMISSION_DENIED;
            case INVALID_ARGUMENT, NOT_A_DIRECTORY, IS_A_DIRECTORY -> Code.INVALID_ARGUMENT;
            case UNKNOWN_USER -> Code.UNAUTHENTICATED;
            case RESOURCE_EXHAUSTED -> Code.RESOURCE_EXHAUSTED;
            case NO_SPACE, INTERNAL -> Code.INTERNAL;
            case CONNECTION_REFUSED, DISCONNECTED -> Code.UNAVAILABLE;
        };
        return new ConnectException(code, failure.getMessage());
    }
}
