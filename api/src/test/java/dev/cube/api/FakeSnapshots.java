package dev.cube.api;

import dev.cube.master.MasterException;
import dev.cube.master.SnapshotInfo;
import dev.cube.master.Snapshots;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Snapshots that are only written down. */
final class FakeSnapshots implements Snapshots {
    final List<SnapshotInfo> all = new ArrayList<>();

    @Override
    public synchronized SnapshotInfo get(String idOrName) {
        return all.stream().filter(snapshot -> snapshot.id().equals(idOrName) || snapshot.names().contains(idOrName))
                .findFirst().orElseThrow(() ->
                        new MasterException(MasterException.Kind.NOT_FOUND, "there is no snapshot " + idOrName));
    }

    @Override
    public synchronized boolean exists(String idOrName) {
        return all.stream().anyMatch(snapshot ->
                snapshot.id().equals(idOrName) || snapshot.names().contains(idOrName));
    }

    @Override
    public synchronized Page list(Optional<String> sandboxId, Optional<String> name, int limit,
            Optional<String> nextToken) {
        int start = nextToken.map(Integer::parseInt).orElse(0);
        List<SnapshotInfo> matching = all.stream()
                .filter(snapshot -> sandboxId.stream().allMatch(snapshot.sandboxId()::equals))
                .filter(snapshot -> name.stream().allMatch(snapshot.names()::contains)).toList();
        int end = Math.min(start + limit, matching.size());
        return new Page(matching.subList(start, end),
                end < matching.size() ? Optional.of(Integer.toString(end)) : Optional.empty());
    }

    @Override
    public synchronized void delete(String idOrName) {
        all.remove(get(idOrName));
    }
}
