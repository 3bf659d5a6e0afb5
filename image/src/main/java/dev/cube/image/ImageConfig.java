package dev.cube.image;

import java.util.List;
import java.util.Map;

/**
 * What an OCI image's configuration says about running it.
 *
 * @param digest       of the manifest, {@code sha256:…}
 * @param environment  {@code Env}
 * @param entrypoint   {@code Entrypoint}
 * @param command      {@code Cmd}
 * @param user         {@code User}, empty if not given
 * @param workingDir   {@code WorkingDir}, empty if not given
 * @param exposedPorts TCP ports of {@code ExposedPorts}
 */
public record ImageConfig(String digest, Map<String, String> environment, List<String> entrypoint,
        List<String> command, String user, String workingDir, List<Integer> exposedPorts) {}
