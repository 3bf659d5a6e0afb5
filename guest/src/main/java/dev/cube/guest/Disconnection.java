package dev.cube.guest;

/**
 * How a connection to a guest ended.
 *
 * @param reason fit for a user
 * @param cutOff whether the guest broke the protocol: it is hostile or broken, and not worth another connection
 */
public record Disconnection(String reason, boolean cutOff) {
    GuestException exception(Throwable cause) {
        return cutOff ? GuestException.cutOff(reason, cause)
                : new GuestException(GuestException.Kind.DISCONNECTED, reason, cause);
    }
}
