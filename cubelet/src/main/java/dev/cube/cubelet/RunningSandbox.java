package dev.cube.cubelet;

import java.util.Map;

/**
 * A sandbox that an earlier server left running.
 *
 * @param identified whether its agent is known to have taken up the sandbox's identity; it is given it again otherwise
 */
public record RunningSandbox(String id, String vmId, Map<String, String> environment, boolean identified) {}
