package dev.cube.sdk;

import java.util.List;

/**
 * A template to make.
 *
 * @param image               {@code oci:DIR[:TAG]}, {@code docker-archive:FILE}, {@code oci-archive:FILE} or
 *                            {@code registry/repo:tag}; files are read by the server
 * @param writableLayerSizeMB size of the writable disk, MiB
 * @param memoryMB            MiB
 * @param probePort           must answer before the template is captured; null: no probe
 * @param aliases             names it can also be asked for by
 */
public record TemplateRequest(String image, int cpuCount, int memoryMB, int writableLayerSizeMB,
        List<Integer> exposedPorts, Integer probePort, List<String> aliases) {}
