package dev.cube.guest;

import java.util.Map;

/** What a new connection tells the guest's agent about the world it finds itself in. */
public sealed interface Epoch {
    /**
     * The VM was booted or restored: a new identity. The agent sets the clock, reseeds the kernel's entropy pool, takes
     * the hostname, gives the guest a new boot ID, has userspace generators reseeded and gives {@code environment} to
     * every process started from now on.
     */
    record Restored(String hostname, Map<String, String> environment) implements Epoch {}

    /** The same VM goes on; only the host's end of the connection is new. Identity and environment stay. */
    record Reattached() implements Epoch {}
}
