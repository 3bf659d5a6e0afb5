package dev.cube.cubelet;

import dev.cube.hypervisor.VmImage;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

import dev.cube.hypervisor.VmShape;

/** Makes a template's files out of an OCI image: base disk, boot, warm-up, probe, snapshot. */
public interface TemplateBuilder {
    /**
     * @param image              as the user wrote it: {@code oci:DIR[:TAG]}, {@code docker-archive:FILE},
     *                           {@code oci-archive:FILE} or {@code registry/repo:tag}
     * @param writableLayerBytes size of the writable disk
     * @param probePort          must answer before the snapshot is taken
     */
    record Request(String image, VmShape shape, long writableLayerBytes, List<Integer> exposedPorts,
            Optional<Integer> probePort) {}

    /** Builds in {@code directory}, which is made whole or not at all. Takes tens of seconds; interruptible. */
    VmImage build(Request request, Path directory, Consumer<String> log);
}
