package dev.cube.cli.bench;

import dev.cube.sdk.CubeClient;
import dev.cube.sdk.SnapshotInfo;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Snapshots that are deleted together. Nothing else deletes a snapshot that a benchmark took. */
record SnapshotGroup(CubeClient client, List<SnapshotInfo> snapshots) implements AutoCloseable {
    SnapshotGroup(CubeClient client) {
        this(client, new CopyOnWriteArrayList<>());
    }

    SnapshotInfo add(SnapshotInfo snapshot) {
        snapshots.add(snapshot);
        return snapshot;
    }

    @Override
    public void close() {
        Load.each(1, snapshots, Progress.NONE, snapshot -> {
            client.snapshots().delete(snapshot.id());
            return snapshot;
        });
    }
}
