package dev.cube.api;

import dev.cube.cubelet.Sandbox;
import dev.cube.master.CreateSandbox;
import dev.cube.master.MasterException;
import dev.cube.master.SandboxInfo;
import dev.cube.master.SandboxNetwork;
import dev.cube.master.SandboxQuery;
import dev.cube.master.Sandboxes;
import dev.cube.master.SnapshotInfo;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/** Sandboxes that are only written down: knows the template {@code base} with the alias {@code python}. */
final class FakeSandboxes implements Sandboxes {
    static final Instant NOW = Instant.parse("2026-01-02T03:04:05.678Z");

    final List<SandboxInfo> all = new ArrayList<>();
    final List<CreateSandbox> requests = new ArrayList<>();
    /** What was said of it at each pause and resumption. */
    final List<Boolean> memoryKept = new ArrayList<>();
    final List<SandboxQuery> queries = new ArrayList<>();
    final List<List<Object>> copied = new ArrayList<>();
    final FakeSnapshots snapshots = new FakeSnapshots();
    Optional<MasterException> refusal = Optional.empty();

    @Override
    public synchronized SandboxInfo create(CreateSandbox request) {
        if (refusal.isPresent()) {
            throw refusal.get();
        }
        if (!Set.of("base", "python").contains(request.template())) {
            throw new MasterException(MasterException.Kind.NOT_FOUND, "there is no template " + request.template());
        }
        requests.add(request);
        var info = new SandboxInfo("sb" + (all.size() + 1), "base", Optional.of("python"), SandboxInfo.State.RUNNING,
                NOW, NOW.plus(request.timeout()), 2, 2048, 1024, request.metadata(),
                request.secure() ? Optional.of("secret") : Optional.empty(), request.onTimeout(),
                request.network());
        all.addFirst(info);
        return info;
    }

    @Override
    public synchronized SandboxInfo get(String id) {
        return all.stream().filter(info -> info.id().equals(id)).findFirst().orElseThrow(() ->
                new MasterException(MasterException.Kind.NOT_FOUND, "there is no sandbox " + id));
    }

    @Override
    public synchronized Page list(SandboxQuery query, int limit, Optional<String> nextToken) {
        queries.add(query);
        int start = nextToken.map(Integer::parseInt).orElse(0);
        List<SandboxInfo> matching = all.stream()
                .filter(info -> query.states().isEmpty() || query.states().contains(info.state()))
                .filter(info -> info.metadata().entrySet().containsAll(query.metadata().entrySet())).toList();
        int end = Math.min(start + limit, matching.size());
        return new Page(matching.subList(start, end),
                end < matching.size() ? Optional.of(Integer.toString(end)) : Optional.empty(), matching.size());
    }

    @Override
    public synchronized SandboxInfo setTimeout(String id, Duration timeout) {
        return replaceEnd(get(id), NOW.plus(timeout));
    }

    @Override
    public synchronized SandboxInfo extend(String id, Duration timeout) {
        SandboxInfo info = get(id);
        Instant end = NOW.plus(timeout);
        return end.isAfter(info.endAt()) ? replaceEnd(info, end) : info;
    }

    @Override
    public synchronized void updateEgress(String id, SandboxNetwork.Egress egress, Optional<Boolean> internetAccess) {
        SandboxInfo info = get(id);
        var network = new SandboxNetwork(internetAccess, info.network().ingress(), Optional.of(egress));
        all.replaceAll(other -> !other.id().equals(id) ? other : new SandboxInfo(info.id(), info.templateId(),
                info.alias(), info.state(), info.startedAt(), info.endAt(), info.cpuCount(), info.memoryMib(),
                info.diskMib(), info.metadata(), info.accessToken(), info.onTimeout(), network));
    }

    private SandboxInfo replaceEnd(SandboxInfo info, Instant end) {
        return replace(info, info.state(), end);
    }

    private SandboxInfo replace(SandboxInfo info, SandboxInfo.State state, Instant end) {
        var changed = new SandboxInfo(info.id(), info.templateId(), info.alias(), state, info.startedAt(), end,
                info.cpuCount(), info.memoryMib(), info.diskMib(), info.metadata(), info.accessToken(),
                info.onTimeout(), info.network());
        all.replaceAll(other -> other.id().equals(info.id()) ? changed : other);
        return changed;
    }

    @Override
    public synchronized void kill(String id) {
        all.remove(get(id));
    }

    @Override
    public Optional<Sandbox> running(String id) {
        return Optional.empty();
    }

    @Override
    public Optional<Sandbox> reachable(String id) {
        return Optional.empty();
    }

    @Override
    public synchronized SnapshotInfo snapshot(String id, Optional<String> name, boolean durable) {
        get(id);
        var snapshot = new SnapshotInfo("snap" + (snapshots.all.size() + 1), name.stream().toList(), id, "base", NOW,
                durable ? SnapshotInfo.State.DURABLE : SnapshotInfo.State.USABLE,
                name.filter("unwritten"::equals).map(unwritten -> "the disk is full"),
                durable ? OptionalLong.of(4096) : OptionalLong.empty(), 2, 2048, 1024);
        snapshots.all.addFirst(snapshot);
        return snapshot;
    }

    @Override
    public synchronized SandboxInfo rollback(String id, String snapshot) {
        if (!snapshots.get(snapshot).sandboxId().equals(id)) {
            throw new MasterException(MasterException.Kind.FORBIDDEN, "snapshot " + snapshot + " is another's");
        }
        return get(id);
    }

    @Override
    public synchronized List<SandboxInfo> copy(String id, int count, int concurrency, Optional<Duration> timeout) {
        copied.add(List.of(count, concurrency, timeout));
        return Collections.nCopies(count, get(id));
    }

    @Override
    public synchronized List<ForkResult> fork(String id, int count, Duration timeout) {
        var results = new ArrayList<ForkResult>();
        results.add(new ForkResult(Optional.empty(),
                Optional.of(new MasterException(MasterException.Kind.NO_CAPACITY, "no room"))));
        for (SandboxInfo made : copy(id, count - 1, count, Optional.of(timeout))) {
            results.add(new ForkResult(Optional.of(made), Optional.empty()));
        }
        return results;
    }

    @Override
    public synchronized void pause(String id, boolean keepMemory) {
        memoryKept.add(keepMemory);
        become(id, SandboxInfo.State.PAUSED);
    }

    @Override
    public synchronized SandboxInfo resume(String id, Duration timeout, Optional<Boolean> autoPause,
            boolean keepMemory) {
        memoryKept.add(keepMemory);
        become(id, SandboxInfo.State.RUNNING);
        return replaceEnd(get(id), NOW.plus(timeout));
    }

    @Override
    public synchronized Connected connect(String id, Duration timeout, boolean keepMemory) {
        return get(id).state() == SandboxInfo.State.PAUSED
                ? new Connected(resume(id, timeout, Optional.empty(), keepMemory), true)
                : new Connected(extend(id, timeout), false);
    }

    private void become(String id, SandboxInfo.State state) {
        SandboxInfo info = get(id);
        if (info.state() == state) {
            throw new MasterException(MasterException.Kind.CONFLICT, "it is " + state);
        }
        replace(info, state, info.endAt());
    }
}
