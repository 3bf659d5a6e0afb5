package dev.cube.sdk;

import java.time.Duration;
import java.util.Map;

/**
 * A sandbox to create.
 *
 * @param template            ID or alias of a template, or ID of a snapshot
 * @param timeout             after which the sandbox is killed or paused unless it is extended; whole seconds
 * @param metadata            to find it by
 * @param environment         given to every process in it
 * @param secure              whether calls to its services need the access token that only its creator is given
 * @param allowInternetAccess whether it may connect to the outside
 * @param onTimeout           what happens at the timeout
 */
public record SandboxOptions(String template, Duration timeout, Map<String, String> metadata,
        Map<String, String> environment, boolean secure, boolean allowInternetAccess, OnTimeout onTimeout) {

    /** What happens when a sandbox's time is up. */
    public enum OnTimeout {
        KILL,
        /** It is paused until it is resumed by a call. */
        PAUSE,
        /** It is paused without its memory until it is resumed by a call; then it boots from its disk. */
        PAUSE_WITHOUT_MEMORY,
        /** It is paused until it is resumed by a call or by any request to one of its ports. */
        PAUSE_AND_RESUME_ON_REQUEST
    }

    /** Five minutes and then killed, no metadata, secure. */
    public static SandboxOptions of(String template) {
        return new SandboxOptions(template, Duration.ofMinutes(5), Map.of(), Map.of(), true, true, OnTimeout.KILL);
    }

    public SandboxOptions withTemplate(String newTemplate) {
        return new SandboxOptions(newTemplate, timeout, metadata, environment, secure, allowInternetAccess, onTimeout);
    }

    public SandboxOptions withTimeout(Duration newTimeout) {
        return new SandboxOptions(template, newTimeout, metadata, environment, secure, allowInternetAccess, onTimeout);
    }

    public SandboxOptions withMetadata(Map<String, String> newMetadata) {
        return new SandboxOptions(template, timeout, newMetadata, environment, secure, allowInternetAccess, onTimeout);
    }

    public SandboxOptions withEnvironment(Map<String, String> newEnvironment) {
        return new SandboxOptions(template, timeout, metadata, newEnvironment, secure, allowInternetAccess, onTimeout);
    }

    public SandboxOptions withOnTimeout(OnTimeout newOnTimeout) {
        return new SandboxOptions(template, timeout, metadata, environment, secure, allowInternetAccess, newOnTimeout);
    }
}
