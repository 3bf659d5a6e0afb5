package dev.cube.proxy;

import dev.cube.guest.GuestAgent;
import java.util.Optional;

/** Where the proxy finds sandboxes. Thread-safe; may block for the time that a sandbox takes to be ready. */
public interface SandboxDirectory {
    /** The running sandbox with this ID; empty if there is none. */
    Optional<Target> find(String sandboxId);

    /**
     * @param accessToken  required in {@code X-Access-Token} on calls to ports that the host serves, if given
     * @param trafficToken required on requests to all ports but envd's, if given
     * @param maskedHost   the {@code Host} that services in the guest are to see instead of the one that was asked;
     *                     <code>${PORT}</code> in it stands for their port
     */
    record Target(String sandboxId, GuestAgent agent, Optional<String> accessToken, Optional<String> trafficToken,
            Optional<String> maskedHost) {}
}
