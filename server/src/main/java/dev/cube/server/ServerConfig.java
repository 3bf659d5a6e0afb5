package dev.cube.server;

import dev.cube.hypervisor.LiveForkChoice;
import java.nio.file.Path;
import java.util.OptionalInt;

/**
 * What the server is told.
 *
 * @param domain         below which sandboxes are reached
 * @param advertisedPort of the proxy as clients see it, where that is not the port that it listens on
 * @param accelerator    what VMs run on: {@code auto}, {@code kvm} or {@code tcg}
 * @param liveFork       whether VMs are forked from warm ones where that is possible
 */
record ServerConfig(Path home, Path artifacts, Endpoint api, Endpoint proxy, String domain,
        OptionalInt advertisedPort, String accelerator, LiveForkChoice liveFork) {}
