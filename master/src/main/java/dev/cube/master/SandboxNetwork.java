package dev.cube.master;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * How a sandbox is connected to the world: {@code SandboxNetworkConfig} of E2B's OpenAPI document. Sandboxes have no
 * connection outwards yet, so {@code internetAccess} and {@code egress} are kept for whoever asks, and enforced by
 * their absence.
 *
 * @param internetAccess as the owner set it, if at all
 * @param ingress        who may connect to the sandbox's ports; absent where the owner said nothing
 * @param egress         what the sandbox may connect to; absent where the owner said nothing
 */
@JsonInclude(JsonInclude.Include.NON_ABSENT)
public record SandboxNetwork(Optional<Boolean> internetAccess, Optional<Ingress> ingress, Optional<Egress> egress) {
    /** What a sandbox has whose owner said nothing. */
    public static final SandboxNetwork UNSPECIFIED =
            new SandboxNetwork(Optional.empty(), Optional.empty(), Optional.empty());

    /**
     * @param allowPublicTraffic whether requests to ports need no token; true if absent
     * @param maskRequestHost    the {@code Host} that services see; <code>${PORT}</code> stands for their port
     * @param httpsPorts         where services speak TLS themselves
     */
    @JsonInclude(JsonInclude.Include.NON_ABSENT)
    public record Ingress(Optional<Boolean> allowPublicTraffic, Optional<String> maskRequestHost,
            Optional<List<Integer>> httpsPorts) {}

    /**
     * @param allowOut    addresses, blocks in CIDR notation and domains, which win over {@code denyOut}
     * @param denyOut     addresses and blocks
     * @param rules       by domain, what is done to requests that go there
     * @param egressProxy the SOCKS5 proxy that connections go through
     */
    @JsonInclude(JsonInclude.Include.NON_ABSENT)
    public record Egress(Optional<List<String>> allowOut, Optional<List<String>> denyOut,
            Optional<Map<String, List<Rule>>> rules, Optional<EgressProxy> egressProxy) {}

    /** @param headers set on matching requests, if anything is done to them */
    @JsonInclude(JsonInclude.Include.NON_ABSENT)
    public record Rule(Optional<Map<String, String>> headers) {}

    /** @param address host and port */
    @JsonInclude(JsonInclude.Include.NON_ABSENT)
    public record EgressProxy(String address, Optional<String> username, Optional<String> password) {}

    /** Whether requests to the sandbox's ports must carry its traffic token. */
    public boolean restrictsTraffic() {
        return !ingress.flatMap(Ingress::allowPublicTraffic).orElse(true);
    }

    /** With another egress policy; access to the internet stays as it was if nothing is said about it. */
    SandboxNetwork withEgress(Egress newEgress, Optional<Boolean> newInternetAccess) {
        return new SandboxNetwork(newInternetAccess.or(() -> internetAccess), ingress, Optional.of(newEgress));
    }
}
