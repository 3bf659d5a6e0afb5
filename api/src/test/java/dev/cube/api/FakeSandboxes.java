package dev.cube.api;

import dev.cube.cubelet.Sandbox;
import dev.cube.master.CreateSandbox;
import dev.cube.master.MasterException;
import dev.cube.master.SandboxInfo;
import dev.cube.master.SandboxNetwork;
import dev.cube.master.SandboxQuery;
import dev.cube.master.Sandboxes;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Sandboxes that are only written down: knows the template {@code base} with the alias {@code python}. */
final class FakeSandboxes implements Sandboxes {
    static final Instant NOW = Instant.parse("2026-01-02T03:04:05.678Z");

    final List<SandboxInfo> all = new ArrayList<>();
    final List<CreateSandbox> requests = new ArrayList<>();
    final List<SandboxQuery> queries = new ArrayList<>();
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
                request.secure() ? Optional.of("secret") : Optional.empty(), request.autoPause(),
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
                info.diskMib(), info.metadata(), info.accessToken(), info.autoPause(), network));
    }

    private SandboxInfo replaceEnd(SandboxInfo info, Instant end) {
        var changed = new SandboxInfo(info.id(), info.templateId(), info.alias(), info.state(), info.startedAt(), end,
                info.cpuCount(), info.memoryMib(), info.diskMib(), info.metadata(), info.accessToken(),
                info.autoPause(), info.network());
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
}
