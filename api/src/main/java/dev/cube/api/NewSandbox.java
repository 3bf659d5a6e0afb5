package dev.cube.api;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import dev.cube.master.CreateSandbox;
import dev.cube.master.OnTimeout;
import dev.cube.master.SandboxNetwork;
import java.util.Map;
import java.util.Optional;

/**
 * The body of {@code POST /sandboxes}: {@code NewSandbox} of E2B's OpenAPI document. What this server does not do is
 * refused rather than ignored, since a client may rely on it.
 */
record NewSandbox(Optional<String> templateID, Optional<Integer> timeout, Optional<Map<String, String>> metadata,
        Optional<Map<String, String>> envVars, Optional<Boolean> secure, Optional<Boolean> autoPause,
        Optional<Boolean> autoPauseMemory, Optional<AutoResume> autoResume,
        @JsonProperty("allow_internet_access") Optional<Boolean> allowInternetAccess,
        Optional<NetworkConfig> network,
        Optional<JsonNode> mcp, Optional<JsonNode> iam, Optional<JsonNode> volumeMounts) {

    private static final int MAX_TEMPLATE_CHARS = 256;

    record AutoResume(Optional<Boolean> enabled) {}

    CreateSandbox toRequest(int defaultTimeoutSeconds, boolean secureByDefault) {
        refuseUnsupported("mcp", mcp, "this server runs no MCP gateway");
        refuseUnsupported("iam", iam, "this server gives sandboxes no workload identity");
        refuseUnsupported("volumeMounts", volumeMounts, "this server has no volumes");
        String template = Fields.text("templateID", Fields.required("templateID", templateID), MAX_TEMPLATE_CHARS);
        boolean isSecure = secure.orElse(secureByDefault);
        SandboxNetwork connection = NetworkConfig.toNetwork(network, allowInternetAccess);
        if (connection.restrictsTraffic() && !isSecure) {
            throw Fields.invalid("network.allowPublicTraffic", "can only be false in a sandbox that is 'secure'");
        }
        return new CreateSandbox(template, Fields.seconds("timeout", timeout.orElse(defaultTimeoutSeconds)),
                Fields.metadata("metadata", metadata), Fields.environment("envVars", envVars),
                isSecure, onTimeout(), connection);
    }

    private OnTimeout onTimeout() {
        boolean resumes = autoResume.flatMap(AutoResume::enabled).orElse(false);
        if (!autoPause.orElse(false)) {
            if (resumes) {
                throw Fields.invalid("autoResume.enabled", "can only be true if 'autoPause' is");
            }
            return OnTimeout.KILL;
        }
        if (!autoPauseMemory.orElse(true)) {
            if (resumes) {
                throw Fields.invalid("autoPauseMemory",
                        "must be true if 'autoResume.enabled' is: a sandbox without its memory is not resumed by traffic");
            }
            return OnTimeout.PAUSE_WITHOUT_MEMORY;
        }
        return resumes ? OnTimeout.PAUSE_UNTIL_USED : OnTimeout.PAUSE;
    }

    private static void refuseUnsupported(String field, Optional<JsonNode> value, String why) {
        if (value.isPresent() && !value.get().isNull() && !(value.get().isContainerNode() && value.get().isEmpty())) {
            throw Fields.invalid(field, "is not supported: " + why);
        }
    }
}
