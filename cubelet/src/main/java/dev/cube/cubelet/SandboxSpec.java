package dev.cube.cubelet;

import dev.cube.hypervisor.VmImage;
import java.util.Map;

/**
 * A sandbox to make on this node.
 *
 * @param id          also its hostname
 * @param image       the state it starts in
 * @param environment given to every process in it
 */
public record SandboxSpec(String id, VmImage image, Map<String, String> environment) {}
