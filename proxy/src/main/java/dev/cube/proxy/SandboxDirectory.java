package dev.cube.proxy;

import dev.cube.guest.GuestAgent;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/** Where the proxy finds sandboxes. Thread-safe. */
public interface SandboxDirectory {
    /** The sandbox with this ID; empty if there is none, or if it is paused and stays so when it is used. */
    Optional<Target> find(String sandboxId);

    /**
     * @param agent        of the guest, to be asked for when the request is let through: a paused sandbox is resumed by
     *                     that. May block for the time that a sandbox takes to be ready; empty if it is gone
     * @param running      the same, but a paused sandbox stays so, and is empty
     * @param accessToken  required in {@code X-Access-Token} on calls to ports that the host serves, if given
     * @param trafficToken required on requests to all ports but envd's, if given
     * @param maskedHost   the {@code Host} that services in the guest are to see instead of the one that was asked;
     *                     <code>${PORT}</code> in it stands for their port
     * @param tlsPorts     where services in the guest speak TLS themselves
     */
    record Target(String sandboxId, Supplier<Optional<GuestAgent>> agent, Supplier<Optional<GuestAgent>> running,
            Optional<String> accessToken, Optional<String> trafficToken, Optional<String> maskedHost, Set<Integer> tlsPorts) {}
}
