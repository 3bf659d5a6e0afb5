package dev.cube.cubelet;

import dev.cube.hypervisor.VmShape;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

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

    /**
     * Builds in {@code directory}, which is made whole or not at all, and durably. Takes tens of seconds.
     *
     * @param log told what is going on, a line at a time
     * @throws SandboxException     with the reason if it fails; nothing is left then
     * @throws InterruptedException if the thread is interrupted; nothing is left then either
     */
    Template build(Request request, Path directory, Consumer<String> log)
            throws InterruptedException;
}
