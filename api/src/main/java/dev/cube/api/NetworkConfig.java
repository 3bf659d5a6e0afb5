package dev.cube.api;

import dev.cube.master.SandboxNetwork;
import dev.cube.master.SandboxNetwork.Egress;
import dev.cube.master.SandboxNetwork.Ingress;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/** {@code SandboxNetworkConfig} of E2B's OpenAPI document, as it is asked for and as it is told. */
record NetworkConfig(Optional<Boolean> allowPublicTraffic, Optional<List<String>> allowOut,
        Optional<List<String>> denyOut, Optional<NetworkUpdate.EgressProxy> egressProxy,
        Optional<String> maskRequestHost, Optional<Map<String, List<NetworkUpdate.Rule>>> rules,
        Optional<List<Integer>> httpsPorts) {

    private static final String FIELD = "network.";
    private static final int MAX_PORT = 65_535;
    private static final int ENVD_PORT = 49_983;
    /** A host and perhaps a port, either of which may be or have the placeholder of the port in it. */
    private static final Pattern HOST =
            Pattern.compile("(?:[A-Za-z0-9._-]|\\$\\{PORT}){1,253}(?::(?:[0-9]{1,5}|\\$\\{PORT}))?|"
                    + "\\[[0-9A-Fa-f:.]{2,45}](?::(?:[0-9]{1,5}|\\$\\{PORT}))?");

    static SandboxNetwork toNetwork(Optional<NetworkConfig> config, Optional<Boolean> internetAccess) {
        return new SandboxNetwork(internetAccess, config.map(NetworkConfig::ingress), config.map(NetworkConfig::egress));
    }

    private Ingress ingress() {
        httpsPorts.orElse(List.of()).forEach(port -> {
            if (port == null || port < 1 || port > MAX_PORT || port == ENVD_PORT) {
                throw Fields.invalid(FIELD + "httpsPorts",
                        "must be ports from 1 to %d, and not envd's, which is %d".formatted(MAX_PORT, ENVD_PORT));
            }
        });
        maskRequestHost.filter(host -> !HOST.matcher(host).matches()).ifPresent(host -> {
            throw Fields.invalid(FIELD + "maskRequestHost",
                    "must be a host name in ASCII, perhaps with a port, which may be ${PORT}");
        });
        return new Ingress(allowPublicTraffic, maskRequestHost, httpsPorts);
    }

    private Egress egress() {
        return new EgressFields(FIELD).egress(allowOut, denyOut, rules, egressProxy);
    }

    /** Empty if the owner said nothing. The egress proxy's password is not told. */
    static Optional<NetworkConfig> of(SandboxNetwork network) {
        if (network.ingress().isEmpty() && network.egress().isEmpty()) {
            return Optional.empty();
        }
        Optional<Ingress> ingress = network.ingress();
        Optional<Egress> egress = network.egress();
        return Optional.of(new NetworkConfig(ingress.flatMap(Ingress::allowPublicTraffic),
                egress.flatMap(Egress::allowOut), egress.flatMap(Egress::denyOut),
                egress.flatMap(Egress::egressProxy).map(proxy ->
                        new NetworkUpdate.EgressProxy(Optional.of(proxy.address()), proxy.username(), Optional.empty())),
                ingress.flatMap(Ingress::maskRequestHost), egress.flatMap(Egress::rules).map(NetworkUpdate.Rule::of),
                ingress.flatMap(Ingress::httpsPorts)));
    }
}
