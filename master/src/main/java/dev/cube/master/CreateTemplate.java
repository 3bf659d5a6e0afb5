package dev.cube.master;

import dev.cube.hypervisor.VmShape;
import java.util.List;
import java.util.Optional;

/**
 * A template to create.
 *
 * @param aliases names it can also be asked for by; taken over from a template that has them
 */
public record CreateTemplate(String image, VmShape shape, long writableLayerBytes, List<Integer> exposedPorts,
        Optional<Integer> probePort, List<String> aliases) {}
