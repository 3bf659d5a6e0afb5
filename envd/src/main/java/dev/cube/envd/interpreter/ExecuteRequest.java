package dev.cube.envd.interpreter;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.Map;
import java.util.Optional;

/** The body of {@code POST /execute}, as E2B's code interpreter takes it. */
record ExecuteRequest(
        String code,
        @JsonProperty("context_id") Optional<String> contextId,
        Optional<String> language,
        @JsonProperty("env_vars") Optional<Map<String, String>> environment) {

    ExecuteRequest {
        contextId = orEmpty(contextId).filter(id -> !id.isEmpty());
        language = orEmpty(language).filter(name -> !name.isBlank());
        environment = environment == null ? Optional.empty() : environment;
    }

    private static Optional<String> orEmpty(Optional<String> value) {
        return value == null ? Optional.empty() : value;
    }
}
