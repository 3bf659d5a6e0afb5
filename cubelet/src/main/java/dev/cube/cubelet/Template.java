package dev.cube.cubelet;

import dev.cube.hypervisor.VmImage;
import java.util.Map;

/**
 * What sandboxes are made from.
 *
 * @param image       the state they start in
 * @param environment what the OCI image sets for every process
 */
public record Template(VmImage image, Map<String, String> environment) {}
