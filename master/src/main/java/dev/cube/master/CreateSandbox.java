package dev.cube.master;

import java.time.Duration;
import java.util.Map;

/**
 * A sandbox to create.
 *
 * @param template ID or alias of a template, or ID or name of a snapshot
 */
public record CreateSandbox(String template, Duration timeout, Map<String, String> metadata,
        Map<String, String> environment, boolean secure, OnTimeout onTimeout, SandboxNetwork network) {}
