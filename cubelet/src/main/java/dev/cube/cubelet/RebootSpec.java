package dev.cube.cubelet;

import java.nio.file.Path;
import java.util.Map;

/**
 * A paused sandbox whose guest is to be booted anew.
 *
 * @param id          the sandbox's
 * @param environment the sandbox's
 * @param image       what {@link Cubelet#pause} wrote
 * @param template    directory of the template, which says what is to be started
 */
public record RebootSpec(String id, Map<String, String> environment, Path image, Path template) {}
