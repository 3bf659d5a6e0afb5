package dev.cube.sdk;

import java.time.Duration;
import java.util.Map;

/**
 * A sandbox to create.
 *
 * @param template            ID or alias of a template, or ID of a snapshot
 * @param timeout             after which the sandbox is killed unless it is extended; whole seconds
 * @param metadata            to find it by
 * @param environment         given to every process in it
 * @param secure              whether calls to its services need the access token that only its creator is given
 * @param allowInternetAccess whether it may connect to the outside
 */
public record SandboxOptions(String template, Duration timeout, Map<String, String> metadata,
        Map<String, String> environment, boolean secure, boolean allowInternetAccess) {

    /** Five minutes, no metadata, secure. */
    public static SandboxOptions of(String template) {
        return new SandboxOptions(template, Duration.ofMinutes(5), Map.of(), Map.of(), true, true);
    }

    public SandboxOptions withTimeout(Duration newTimeout) {
        return new SandboxOptions(template, newTimeout, metadata, environment, secure, allowInternetAccess);
    }

    public SandboxOptions withMetadata(Map<String, String> newMetadata) {
        return new SandboxOptions(template, timeout, newMetadata, environment, secure, allowInternetAccess);
    }

    public SandboxOptions withEnvironment(Map<String, String> newEnvironment) {
        return new SandboxOptions(template, timeout, metadata, newEnvironment, secure, allowInternetAccess);
    }
}
