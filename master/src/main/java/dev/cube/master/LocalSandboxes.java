package dev.cube.master;

import dev.cube.cubelet.Cubelet;
import dev.cube.cubelet.RunningSandbox;
import dev.cube.cubelet.Sandbox;
import dev.cube.cubelet.SandboxException;
import dev.cube.cubelet.SandboxSpec;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sandboxes, kept in memory and written through to the database. A sandbox's row is written when its VM runs and before
 * its creator is told, so after a crash a VM without a row belongs to nobody; it is deleted after its VM, so a row
 * without a VM is a sandbox that has ended.
 */
final class LocalSandboxes implements Sandboxes {
    private static final Logger LOG = LoggerFactory.getLogger(LocalSandboxes.class);
    private static final int ACCESS_TOKEN_BYTES = 32;

    private final Cubelet cubelet;
    private final LocalTemplates templates;
    private final SandboxTable table;
    private final Map<String, SandboxEntry> entries = new ConcurrentHashMap<>();
    private final Epitaphs epitaphs = new Epitaphs();
    private final ScheduledThreadPoolExecutor timers = new ScheduledThreadPoolExecutor(1,
            Thread.ofPlatform().daemon().name("sandbox-timeouts").factory());
    private final Timer created;
    private final Counter lost;
    private final List<Consumer<String>> goneListeners = new CopyOnWriteArrayList<>();
    private volatile boolean closed;

    LocalSandboxes(Cubelet cubelet, LocalTemplates templates, SandboxTable table, MeterRegistry metrics) {
        this.cubelet = cubelet;
        this.templates = templates;
        this.table = table;
        timers.setRemoveOnCancelPolicy(true);
        created = Timer.builder("cube.sandbox.create").description("From request to running sandbox")
                .publishPercentiles(0.5, 0.99).register(metrics);
        lost = Counter.builder("cube.sandboxes.lost").description("Sandboxes that ended without being asked to")
                .register(metrics);
        Gauge.builder("cube.sandboxes", entries, Map::size).register(metrics);
    }

    /** Takes up the sandboxes that an earlier server left, ends those whose time has passed, and forgets the dead. */
    void recover() {
        Map<String, SandboxRow> rows = new HashMap<>();
        List<RunningSandbox> expected = new ArrayList<>();
        for (SandboxRow row : table.all()) {
            rows.put(row.id(), row);
            if (row.endAt().isAfter(Instant.now())) {
                row.vmId().ifPresent(vm ->
                        expected.add(new RunningSandbox(row.id(), vm, row.environment(), row.identified())));
            } else {
                epitaphs.add(row.id(), "its timeout ended while the server was down");
            }
        }
        for (Sandbox sandbox : cubelet.recover(expected)) {
            SandboxRow row = rows.remove(sandbox.id());
            templates.holdForRecovered(row.templateId());
            takeUp(new SandboxEntry(row, sandbox));
            LOG.info("sandbox {} goes on", row.id());
        }
        for (SandboxRow dead : rows.values()) {
            LOG.info("sandbox {} ended while the server was down", dead.id());
            table.delete(dead.id());
        }
    }

    @Override
    public SandboxInfo create(CreateSandbox request) {
        long begin = System.nanoTime();
        Requests.check(request);
        TemplateSource source = templates.hold(request.template());
        SandboxEntry entry;
        try {
            entry = start(request, source);
        } catch (SandboxException e) {
            templates.release(source.row().id());
            throw translated(e);
        } catch (RuntimeException e) {
            templates.release(source.row().id());
            throw e;
        }
        templates.spawned(source.row().id());
        takeUp(entry);
        created.record(System.nanoTime() - begin, TimeUnit.NANOSECONDS);
        return info(entry.row());
    }

    private SandboxEntry start(CreateSandbox request, TemplateSource source) {
        String id = RandomNames.sandboxId();
        Map<String, String> environment = new HashMap<>(source.template().environment());
        environment.putAll(request.environment());
        Sandbox sandbox = cubelet.create(new SandboxSpec(id, source.template().image(), Map.copyOf(environment)));
        try {
            Instant now = now();
            TemplateRow template = source.row();
            SandboxRow row = new SandboxRow(id, template.id(), SandboxInfo.State.RUNNING,
                    Optional.of(sandbox.vmId()), false, now, now.plus(request.timeout()), template.cpuCount(),
                    template.memoryMib(), template.diskMib(), Map.copyOf(request.metadata()),
                    Map.copyOf(environment),
                    request.secure() ? Optional.of(RandomNames.hex(ACCESS_TOKEN_BYTES)) : Optional.empty(),
                    request.autoPause(), request.network());
            table.insert(row);
            return new SandboxEntry(row, sandbox);
        } catch (RuntimeException e) {
            cubelet.destroy(id);
            throw e;
        }
    }

    private void takeUp(SandboxEntry entry) {
        entries.put(entry.row().id(), entry);
        entry.schedule(timers, () -> Thread.startVirtualThread(() -> expire(entry)));
        entry.sandbox().gone().thenAccept(reason -> Thread.startVirtualThread(() -> lost(entry, reason)));
        if (!entry.row().identified()) {
            Thread.startVirtualThread(() -> markIdentified(entry));
        }
    }

    private void markIdentified(SandboxEntry entry) {
        try {
            entry.sandbox().agent();
            if (!closed) {
                table.updateIdentified(entry.row().id());
            }
        } catch (SandboxException e) {
            LOG.debug("sandbox {} was never identified: {}", entry.row().id(), e.getMessage());
        } catch (MasterException e) {
            LOG.warn("sandbox {}: {}; it gets its identity again after a restart", entry.row().id(), e.getMessage());
        }
    }

    private void expire(SandboxEntry entry) {
        if (closed) {
            return;
        }
        if (entry.claimIfExpired()) {
            LOG.info("sandbox {}: its timeout ended", entry.row().id());
            end(entry, "its timeout ended");
        } else {
            entry.schedule(timers, () -> Thread.startVirtualThread(() -> expire(entry)));
        }
    }

    private void lost(SandboxEntry entry, String reason) {
        if (!closed && entry.claim()) {
            LOG.warn("sandbox {} is gone: {}", entry.row().id(), reason);
            lost.increment();
            forget(entry, reason);
        }
    }

    private void end(SandboxEntry entry, String reason) {
        try {
            cubelet.destroy(entry.row().id());
        } finally {
            forget(entry, reason);
        }
    }

    private void forget(SandboxEntry entry, String reason) {
        String id = entry.row().id();
        epitaphs.add(id, reason);
        entries.remove(id);
        try {
            table.delete(id);
        } catch (MasterException e) {
            LOG.warn("sandbox {}: {}; it is forgotten at the next start", id, e.getMessage());
        }
        templates.release(entry.row().templateId());
        goneListeners.forEach(listener -> listener.accept(id));
    }

    void onGone(Consumer<String> listener) {
        goneListeners.add(listener);
    }

    @Override
    public SandboxInfo get(String id) {
        return info(require(id).row());
    }

    @Override
    public Page list(SandboxQuery query, int limit, Optional<String> nextToken) {
        if (limit < 1) {
            throw Requests.invalid("limit must be at least 1, not %d".formatted(limit));
        }
        Optional<PageToken> after = nextToken.map(PageToken::parse);
        List<SandboxRow> matching = matching(query);
        Comparator<SandboxRow> order = PageToken.comparator(query.order());
        List<SandboxRow> rows = matching.stream()
                .filter(row -> after.isEmpty() || after.get().isBefore(row, query.order()))
                .sorted(order).limit(limit + 1L).toList();
        boolean more = rows.size() > limit;
        List<SandboxRow> page = more ? rows.subList(0, limit) : rows;
        return new Page(page.stream().map(this::info).toList(),
                more ? Optional.of(PageToken.after(page.getLast()).text()) : Optional.empty(),
                (int) matching.stream().filter(row -> row.state() == SandboxInfo.State.RUNNING).count());
    }

    private List<SandboxRow> matching(SandboxQuery query) {
        Optional<String> template = query.template().map(name -> templates.withAlias(name).orElse(name));
        return entries.values().stream().map(SandboxEntry::row)
                .filter(row -> query.states().isEmpty() || query.states().contains(row.state()))
                .filter(row -> row.metadata().entrySet().containsAll(query.metadata().entrySet()))
                .filter(row -> query.startedAfter().stream().noneMatch(row.startedAt()::isBefore))
                .filter(row -> template.isEmpty() || template.get().equals(row.templateId()))
                .toList();
    }

    @Override
    public SandboxInfo setTimeout(String id, Duration timeout) {
        Requests.checkTimeout(timeout);
        return moveEnd(id, row -> now().plus(timeout));
    }

    @Override
    public SandboxInfo extend(String id, Duration timeout) {
        Requests.checkTimeout(timeout);
        return moveEnd(id, row -> {
            Instant end = now().plus(timeout);
            return end.isAfter(row.endAt()) ? end : row.endAt();
        });
    }

    private SandboxInfo moveEnd(String id, Function<SandboxRow, Instant> newEnd) {
        SandboxEntry entry = require(id);
        boolean changed = entry.update(row -> {
            Instant end = newEnd.apply(row);
            if (end.equals(row.endAt())) {
                return row;
            }
            table.updateEndAt(id, end);
            return row.withEndAt(end);
        });
        if (!changed) {
            throw epitaphs.notFound(id);
        }
        entry.schedule(timers, () -> Thread.startVirtualThread(() -> expire(entry)));
        return info(entry.row());
    }

    @Override
    public void updateEgress(String id, SandboxNetwork.Egress egress, Optional<Boolean> internetAccess) {
        boolean changed = require(id).update(row -> {
            if (row.state() != SandboxInfo.State.RUNNING) {
                throw new MasterException(MasterException.Kind.CONFLICT, "Sandbox '%s' is paused".formatted(id));
            }
            SandboxNetwork network = row.network().withEgress(egress, internetAccess);
            table.updateNetwork(id, network);
            return row.withNetwork(network);
        });
        if (!changed) {
            throw epitaphs.notFound(id);
        }
    }

    @Override
    public void kill(String id) {
        SandboxEntry entry = require(id);
        if (!entry.claim()) {
            throw epitaphs.notFound(id);
        }
        try {
            end(entry, "it was deleted");
        } catch (SandboxException e) {
            throw translated(e);
        }
    }

    @Override
    public Optional<Sandbox> running(String id) {
        return Optional.ofNullable(entries.get(id)).map(SandboxEntry::sandbox);
    }

    private SandboxEntry require(String id) {
        SandboxEntry entry = entries.get(id);
        if (entry == null) {
            throw epitaphs.notFound(id);
        }
        return entry;
    }

    private SandboxInfo info(SandboxRow row) {
        return row.info(templates.alias(row.templateId()));
    }

    private static MasterException translated(SandboxException e) {
        MasterException.Kind kind = switch (e.kind()) {
            case NOT_FOUND -> MasterException.Kind.NOT_FOUND;
            case NO_CAPACITY -> MasterException.Kind.NO_CAPACITY;
            case FAILED -> MasterException.Kind.FAILED;
        };
        return new MasterException(kind, e.getMessage(), e);
    }

    private static Instant now() {
        return Instant.now().truncatedTo(ChronoUnit.MILLIS);
    }

    /** Stops the timers. Sandboxes run on; what happens to them from now on is found out at the next start. */
    void close() {
        closed = true;
        timers.shutdownNow();
    }
}
