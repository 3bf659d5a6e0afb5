package dev.cube.api;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.cube.master.SandboxNetwork;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** The body of {@code PUT /sandboxes/{id}/network}: {@code SandboxNetworkUpdateConfig} of E2B's OpenAPI document. */
record NetworkUpdate(Optional<List<String>> allowOut, Optional<List<String>> denyOut,
        Optional<EgressProxy> egressProxy, Optional<Map<String, List<Rule>>> rules,
        @JsonProperty("allow_internet_access") Optional<Boolean> allowInternetAccess) {

    record EgressProxy(Optional<String> address, Optional<String> username, Optional<String> password) {}

    record Rule(Optional<Transform> transform) {
        static Map<String, List<Rule>> of(Map<String, List<SandboxNetwork.Rule>> rules) {
            return rules.entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, entry -> entry.getValue()
                    .stream().map(rule -> new Rule(rule.headers().map(headers ->
                            new Transform(Optional.of(headers))))).toList()));
        }
    }

    record Transform(Optional<Map<String, String>> headers) {}

    SandboxNetwork.Egress toEgress() {
        return new EgressFields("").egress(allowOut, denyOut, rules, egressProxy);
    }
}
