package dev.cube.api;

/**
 * What the API tells its clients, and whom it serves.
 *
 * @param version      of this server
 * @param domain       below which sandboxes are reached, with its port where that is not 443
 * @param envdVersion  version of E2B's envd whose behaviour the data plane has; clients choose their code paths by it
 * @param accelerator  what VMs run on: {@code kvm} or {@code tcg}
 * @param requiresKeys whether requests need an API key; without, only requests that no foreign web page can have sent
 *                     are served
 */
public record ApiSettings(String version, String domain, String envdVersion, String accelerator,
        boolean requiresKeys) {}
