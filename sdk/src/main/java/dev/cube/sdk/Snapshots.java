package dev.cube.sdk;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Snapshots of sandboxes. Get it from {@link CubeClient#snapshots}. */
public final class Snapshots {
    /** Between two looks: 1/32 of what was waited so far, so that a long wait costs the server little. */
    private static final int LOOKS_GET_RARER = 32;
    private static final Duration LOOK_SOONEST = Duration.ofMillis(1);
    private static final Duration LOOK_LATEST = Duration.ofMillis(100);

    private final CubeClient client;

    Snapshots(CubeClient client) {
        this.client = client;
    }

    /** Captures a running sandbox, which goes on. */
    public SnapshotInfo create(String sandboxId, SnapshotOptions options) {
        Map<String, Object> body = new LinkedHashMap<>();
        options.name().ifPresent(name -> body.put("name", name));
        body.put("durable", options.durable());
        return Json.read(client.post(CubeClient.sandboxPath(sandboxId) + "/snapshots", body), SnapshotInfo.class);
    }

    /** Every snapshot, newest first. */
    public List<SnapshotInfo> list() {
        return client.pages("/snapshots", "", SnapshotInfo[].class);
    }

    /** Every snapshot of this sandbox, which may be gone, newest first. */
    public List<SnapshotInfo> list(String sandboxId) {
        return client.pages("/snapshots", "&sandboxID=" + CubeClient.encode(sandboxId), SnapshotInfo[].class);
    }

    /** By ID or name. */
    public SnapshotInfo get(String idOrName) {
        return Json.read(client.fetch(path(idOrName)), SnapshotInfo.class);
    }

    /**
     * Waits until a snapshot would survive the death of the machine.
     *
     * @throws CubeException if it does not within {@code limit}, or is gone
     */
    public SnapshotInfo awaitDurable(String idOrName, Duration limit) {
        long start = System.nanoTime();
        while (true) {
            SnapshotInfo snapshot = get(idOrName);
            if (snapshot.isDurable()) {
                return snapshot;
            }
            Duration waited = Duration.ofNanos(System.nanoTime() - start);
            if (waited.compareTo(limit) > 0) {
                throw new CubeException("snapshot %s is not durable after %d s%s".formatted(idOrName, limit.toSeconds(),
                        snapshot.reason() == null ? "" : ": " + snapshot.reason()));
            }
            try {
                Thread.sleep(Math.clamp(waited.toMillis() / LOOKS_GET_RARER, LOOK_SOONEST.toMillis(),
                        LOOK_LATEST.toMillis()));
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new CubeException("interrupted while waiting for snapshot " + idOrName, e);
            }
        }
    }

    /** Deletes a snapshot. Sandboxes made from it, and snapshots of those, go on. */
    public void delete(String idOrName) {
        client.delete(path(idOrName));
    }

    private static String path(String idOrName) {
        return "/snapshots/" + CubeClient.encode(idOrName);
    }
}
