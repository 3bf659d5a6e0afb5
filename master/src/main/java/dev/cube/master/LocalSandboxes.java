package dev.cube.master;

import dev.cube.cubelet.Cubelet;
import dev.cube.cubelet.FrozenSandbox;
import dev.cube.cubelet.RebootSpec;
import dev.cube.cubelet.Replacement;
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
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sandboxes, kept in memory and written through to the database. A sandbox's row is written when its VM runs and before
 * its creator is told, so after a crash a VM that no row names belongs to nobody; it is deleted after its VM, so a running
 * sandbox's row without a VM is a sandbox that has ended. Unless it has an image: then it was being paused, and is.
 */
final class LocalSandboxes implements Sandboxes {
    private static final Logger LOG = LoggerFactory.getLogger(LocalSandboxes.class);
    /** A sandbox that is resumed because it is used stays for at least this long, as at E2B. */
    private static final Duration LEAST_TIMEOUT_IN_USE = Duration.ofMinutes(5);
    /** When a sandbox that could not be paused at its end is tried again. */
    private static final Duration PAUSE_RETRY = Duration.ofMinutes(1);
    /** Of the image of a paused sandbox that was booted and does not run yet; no ID has a dot. */
    private static final String BOOTED_SUFFIX = ".booted";

    private final Cubelet cubelet;
    private final LocalTemplates templates;
    private final LocalSnapshots snapshots;
    private final ImageDirectory pausedImages;
    private final SandboxTable table;
    private final LocalSandboxLogs logs;
    private final Map<String, SandboxEntry> entries = new ConcurrentHashMap<>();
    private final Epitaphs epitaphs = new Epitaphs("sandbox");
    private final ScheduledThreadPoolExecutor timers = new ScheduledThreadPoolExecutor(1,
            Thread.ofPlatform().daemon().name("sandbox-timeouts").factory());
    private final MeterRegistry metrics;
    private final Timer created;
    private final Counter lost;
    private final List<Consumer<String>> goneListeners = new CopyOnWriteArrayList<>();
    private final List<Consumer<String>> vmGoneListeners = new CopyOnWriteArrayList<>();
    private volatile boolean closed;

    LocalSandboxes(Cubelet cubelet, LocalTemplates templates, LocalSnapshots snapshots, ImageDirectory pausedImages,
            SandboxTable table, LocalSandboxLogs logs, MeterRegistry metrics) {
        this.cubelet = cubelet;
        this.templates = templates;
        this.snapshots = snapshots;
        this.pausedImages = pausedImages;
        this.table = table;
        this.logs = logs;
        this.metrics = metrics;
        timers.setRemoveOnCancelPolicy(true);
        created = timer("create", "From request to running sandbox");
        lost = Counter.builder("cube.sandboxes.lost").description("Sandboxes that ended without being asked to")
                .register(metrics);
        Gauge.builder("cube.sandboxes", this, all -> all.count(SandboxInfo.State.RUNNING)).register(metrics);
        Gauge.builder("cube.sandboxes.paused", this, all -> all.count(SandboxInfo.State.PAUSED)).register(metrics);
    }

    private Timer timer(String operation, String description) {
        return Timer.builder("cube.sandbox." + operation).description(description).publishPercentiles(0.5, 0.99)
                .register(metrics);
    }

    private long count(SandboxInfo.State state) {
        return entries.values().stream().filter(entry -> entry.row().state() == state).count();
    }

    /**
     * Takes up the sandboxes that an earlier server left, running or paused, ends those whose time has passed, and forgets
     * the dead.
     */
    void recover() {
        Map<String, SandboxRow> rows = new HashMap<>();
        List<RunningSandbox> expected = new ArrayList<>();
        for (SandboxRow row : table.all()) {
            rows.put(row.id(), row);
            if (row.endAt().isAfter(Instant.now()) || row.onTimeout().pauses()) {
                row.vmId().ifPresent(vm ->
                        expected.add(new RunningSandbox(row.id(), vm, row.environment(), row.identified())));
            } else if (row.state() == SandboxInfo.State.RUNNING) {
                epitaphs.add(row.id(), "its timeout ended while the server was down");
            }
        }
        Map<Sandbox, SandboxRow> running = new LinkedHashMap<>();
        for (Sandbox sandbox : cubelet.recover(expected)) {
            running.put(sandbox, rows.remove(sandbox.id()));
        }
        recoverPaused(rows.values());
        // Last, since one whose time has passed is paused at once, and its image must not be taken for a leftover.
        running.forEach((sandbox, row) -> {
            templates.retain(row.templateId());
            takeUp(new SandboxEntry(row, Optional.of(sandbox)), sandbox, "goes on under another server");
            LOG.info("sandbox {} goes on", row.id());
        });
        logs.endAllBut(entries.keySet(), "ended: no server saw it");
    }

    /** @param rows of the sandboxes that do not run; those without an image have ended */
    private void recoverPaused(Collection<SandboxRow> rows) {
        Set<String> paused = new HashSet<>();
        for (SandboxRow row : rows) {
            if (pausedImages.has(row.id())) {
                paused.add(row.id());
                recoverPaused(row);
            } else {
                LOG.info("sandbox {} ended while the server was down", row.id());
                table.delete(row.id());
            }
        }
        pausedImages.discardAllBut(paused);
    }

    private void recoverPaused(SandboxRow row) {
        SandboxRow paused = row;
        if (row.state() == SandboxInfo.State.RUNNING) {
            paused = row.paused(now());
            table.updatePaused(paused);
        }
        templates.retain(paused.templateId());
        entries.put(paused.id(), new SandboxEntry(paused, Optional.empty()));
        logs.begin(paused.id(), "is paused");
        LOG.info("sandbox {} is paused", paused.id());
    }

    @Override
    public SandboxInfo create(CreateSandbox request) {
        long begin = System.nanoTime();
        Requests.check(request);
        SandboxSource source = source(request.template());
        String template = source.template().id();
        Sandbox sandbox;
        SandboxEntry entry;
        try {
            sandbox = start(request, source);
            entry = record(request, source, sandbox);
        } catch (SandboxException e) {
            templates.release(template);
            throw translated(e);
        } catch (RuntimeException e) {
            templates.release(template);
            throw e;
        }
        templates.spawned(template);
        takeUp(entry, sandbox, "created from " + request.template());
        created.record(System.nanoTime() - begin, TimeUnit.NANOSECONDS);
        return info(entry.row());
    }

    private SandboxSource source(String name) {
        return templates.hold(name).or(() -> snapshots.hold(name)).orElseThrow(() -> new MasterException(
                MasterException.Kind.NOT_FOUND, "There is no template '%s', and no such snapshot".formatted(name)));
    }

    private static Sandbox start(CreateSandbox request, SandboxSource source) {
        return source.start(RandomNames.sandboxId(), environment(request, source));
    }

    private static Map<String, String> environment(CreateSandbox request, SandboxSource source) {
        Map<String, String> environment = new HashMap<>(source.environment());
        environment.putAll(request.environment());
        return Map.copyOf(environment);
    }

    private SandboxEntry record(CreateSandbox request, SandboxSource source, Sandbox sandbox) {
        Instant now = now();
        TemplateRow template = source.template();
        SandboxRow row = new SandboxRow(sandbox.id(), template.id(), SandboxInfo.State.RUNNING,
                Optional.of(sandbox.vmId()), false, now, now.plus(request.timeout()), template.cpuCount(),
                template.memoryMib(), template.diskMib(), Map.copyOf(request.metadata()),
                environment(request, source),
                request.secure() ? Optional.of(RandomNames.accessToken()) : Optional.empty(),
                request.timeout(), request.onTimeout(), request.network());
        insert(List.of(row));
        return new SandboxEntry(row, Optional.of(sandbox));
    }

    /** Writes down sandboxes that run already; they are ended where that fails. */
    private void insert(List<SandboxRow> rows) {
        try {
            table.insert(rows);
        } catch (RuntimeException e) {
            rows.forEach(row -> cubelet.destroy(row.id()));
            throw e;
        }
    }

    private void takeUp(SandboxEntry entry, Sandbox sandbox, String event) {
        entries.put(entry.row().id(), entry);
        logs.begin(entry.row().id(), event);
        watch(entry, sandbox);
    }

    private void watch(SandboxEntry entry, Sandbox sandbox) {
        scheduleEnd(entry);
        sandbox.gone().thenAccept(reason -> Thread.startVirtualThread(() -> lost(entry, sandbox, reason)));
        if (!entry.row().identified()) {
            Thread.startVirtualThread(() -> markIdentified(entry, sandbox));
        }
    }

    private void scheduleEnd(SandboxEntry entry) {
        entry.schedule(timers, () -> Thread.startVirtualThread(() -> expire(entry)));
    }

    private void markIdentified(SandboxEntry entry, Sandbox sandbox) {
        try {
            sandbox.agent();
            if (!closed) {
                table.updateIdentified(entry.row().id(), sandbox.vmId());
            }
        } catch (SandboxException e) {
            LOG.debug("sandbox {} was never identified: {}", entry.row().id(), e.getMessage());
        } catch (MasterException e) {
            LOG.warn("sandbox {}: {}; it gets its identity again after a restart", entry.row().id(), e.getMessage());
        }
    }

    private void expire(SandboxEntry entry) {
        entry.operation().lock();
        try {
            if (closed || entry.claimed() || entry.sandbox().isEmpty()) {
                return;
            }
            if (!entry.expired()) {
                scheduleEnd(entry);
            } else if (entry.row().onTimeout().pauses()) {
                LOG.info("sandbox {}: its timeout ended, it is paused", entry.row().id());
                pauseAtEnd(entry);
            } else if (entry.claimIfExpired()) {
                LOG.info("sandbox {}: its timeout ended", entry.row().id());
                end(entry, "its timeout ended");
            }
        } finally {
            entry.operation().unlock();
        }
    }

    private void pauseAtEnd(SandboxEntry entry) {
        try {
            pause(entry, entry.row().onTimeout().keepsMemory());
        } catch (SandboxException | MasterException e) {
            LOG.warn("sandbox {} could not be paused, and runs on for now: {}", entry.row().id(), e.getMessage());
            entry.schedule(timers, () -> Thread.startVirtualThread(() -> expire(entry)), PAUSE_RETRY);
        }
    }

    private void lost(SandboxEntry entry, Sandbox sandbox, String reason) {
        entry.operation().lock();
        try {
            // Otherwise it is another VM's turn already.
            if (!closed && entry.sandbox().equals(Optional.of(sandbox)) && entry.claim()) {
                LOG.warn("sandbox {} is gone: {}", entry.row().id(), reason);
                lost.increment();
                logs.add(entry.row().id(), SandboxLogs.Level.ERROR, "lost: " + reason);
                forget(entry, reason);
            }
        } finally {
            entry.operation().unlock();
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
        logs.end(id, "ended: " + reason);
        try {
            table.delete(id);
        } catch (MasterException e) {
            LOG.warn("sandbox {}: {}; it is forgotten at the next start", id, e.getMessage());
        }
        if (entry.sandbox().isEmpty()) {
            pausedImages.discard(id);
        } else {
            vmGone(id);
        }
        templates.release(entry.row().templateId());
        goneListeners.forEach(listener -> listener.accept(id));
    }

    void onGone(Consumer<String> listener) {
        goneListeners.add(listener);
    }

    void onVmGone(Consumer<String> listener) {
        vmGoneListeners.add(listener);
    }

    private void vmGone(String id) {
        vmGoneListeners.forEach(listener -> listener.accept(id));
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
        return extend(require(id), timeout);
    }

    private SandboxInfo extend(SandboxEntry entry, Duration timeout) {
        return moveEnd(entry.row().id(), row -> {
            Instant end = now().plus(timeout);
            return end.isAfter(row.endAt()) ? end : row.endAt();
        });
    }

    private SandboxInfo moveEnd(String id, Function<SandboxRow, Instant> newEnd) {
        SandboxEntry entry = require(id);
        boolean changed = entry.update(row -> {
            if (row.state() == SandboxInfo.State.PAUSED) {
                throw new MasterException(MasterException.Kind.NOT_FOUND,
                        "Sandbox '%s' does not run: it is paused".formatted(id));
            }
            Instant end = newEnd.apply(row);
            if (end.equals(row.endAt())) {
                return row;
            }
            table.updateEndAt(id, end);
            logs.add(id, SandboxLogs.Level.DEBUG, "timeout ends at " + end);
            return row.withEndAt(end);
        });
        if (!changed) {
            throw epitaphs.notFound(id);
        }
        scheduleEnd(entry);
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
            logs.add(id, SandboxLogs.Level.INFO, "what it may connect to was changed");
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
        entry.operation().lock();
        try {
            end(entry, "it was deleted");
        } catch (SandboxException e) {
            throw translated(e);
        } finally {
            entry.operation().unlock();
        }
    }

    /** Does something with a sandbox while nothing else is done with it. */
    private <T> T exclusively(String id, Function<SandboxEntry, T> action) {
        SandboxEntry entry = require(id);
        entry.operation().lock();
        try {
            if (entry.claimed()) {
                throw epitaphs.notFound(id);
            }
            return action.apply(entry);
        } catch (SandboxException e) {
            throw translated(e);
        } finally {
            entry.operation().unlock();
        }
    }

    /** Measures what succeeds. */
    private <T> T timed(String operation, Supplier<T> action) {
        long begin = System.nanoTime();
        T result = action.get();
        timer(operation, "What it is named for, without waiting for what is done with the sandbox before")
                .record(System.nanoTime() - begin, TimeUnit.NANOSECONDS);
        return result;
    }

    private static void requireRunning(SandboxEntry entry) {
        if (entry.sandbox().isEmpty()) {
            throw new MasterException(MasterException.Kind.CONFLICT,
                    "Sandbox '%s' is paused: resume it first".formatted(entry.row().id()));
        }
    }

    @Override
    public SnapshotInfo snapshot(String id, Optional<String> name, boolean durable) {
        Optional<SnapshotName> parsed = name.map(SnapshotName::parse);
        LocalSnapshots.Entry snapshot = exclusively(id, entry -> {
            requireRunning(entry);
            LocalSnapshots.Entry taken = timed("snapshot", () ->
                    snapshots.take(entry.row(), parsed, directory -> cubelet.snapshot(id, directory)));
            logs.add(id, SandboxLogs.Level.INFO, "snapshot taken: " + taken.row().id());
            return taken;
        });
        if (durable) {
            snapshots.awaitDurable(snapshot);
        }
        return snapshots.info(snapshot);
    }

    @Override
    public SandboxInfo rollback(String id, String snapshot) {
        return exclusively(id, entry -> {
            requireRunning(entry);
            LocalSnapshots.Entry to = snapshots.require(snapshot);
            if (!to.row().sandboxId().equals(id)) {
                throw new MasterException(MasterException.Kind.FORBIDDEN,
                        "Snapshot '%s' is not of sandbox '%s', but of '%s': a sandbox can only be rolled back to its own"
                                .formatted(snapshot, id, to.row().sandboxId()));
            }
            SandboxInfo info = timed("rollback", () -> snapshots.with(to, image ->
                    replace(entry, new SandboxSpec(id, image, entry.row().environment()))));
            logs.add(id, SandboxLogs.Level.INFO, "rolled back to " + snapshot);
            return info;
        });
    }

    /** The row decides which of the two VMs is the sandbox's, should the server end in between. */
    private SandboxInfo replace(SandboxEntry entry, SandboxSpec spec) {
        try (Replacement replacement = cubelet.replace(spec)) {
            Sandbox fresh = replacement.sandbox();
            entry.become(row -> {
                SandboxRow changed = row.in(fresh.vmId(), row.endAt());
                table.updateVm(changed);
                return changed;
            }, Optional.of(fresh));
            replacement.takePlace();
            vmGone(spec.id());
            watch(entry, fresh);
        }
        return info(entry.row());
    }

    @Override
    public List<SandboxInfo> copy(String id, int count, int concurrency, Optional<Duration> timeout) {
        timeout.ifPresent(Requests::checkTimeout);
        return copies(id, "clone", count, concurrency, timeout, outcomes -> {
            for (CopyStarts.Outcome outcome : outcomes) {
                if (outcome instanceof CopyStarts.Outcome.Failed(RuntimeException reason)) {
                    throw reason;
                }
            }
        }).stream().map(result -> result.sandbox().orElseThrow()).toList();
    }

    @Override
    public List<ForkResult> fork(String id, int count, Duration timeout) {
        Requests.checkTimeout(timeout);
        return copies(id, "fork", count, count, Optional.of(timeout), outcomes -> { });
    }

    /** @param check throws if what was started is to be ended again */
    private List<ForkResult> copies(String id, String operation, int count, int concurrency, Optional<Duration> timeout,
            Consumer<List<CopyStarts.Outcome>> check) {
        record Source(SandboxRow row, FrozenSandbox frozen) {}
        Source source = exclusively(id, entry -> {
            requireRunning(entry);
            FrozenSandbox frozen = timed("freeze", () -> cubelet.freeze(id, count));
            templates.retain(entry.row().templateId());
            return new Source(entry.row(), frozen);
        });
        try {
            return copies(source.row(), source.frozen(), operation, count, concurrency, timeout, check);
        } finally {
            templates.release(source.row().templateId());
        }
    }

    private List<ForkResult> copies(SandboxRow source, FrozenSandbox held, String operation, int count, int concurrency,
            Optional<Duration> timeout, Consumer<List<CopyStarts.Outcome>> check) {
        long begin = System.nanoTime();
        List<CopyStarts.Outcome> outcomes;
        try (held) {
            outcomes = CopyStarts.start(held, source.environment(), count, concurrency);
        }
        List<Sandbox> started = outcomes.stream().filter(CopyStarts.Outcome.Started.class::isInstance)
                .map(outcome -> ((CopyStarts.Outcome.Started) outcome).sandbox()).toList();
        try {
            check.accept(outcomes);
        } catch (RuntimeException e) {
            started.forEach(sandbox -> cubelet.destroy(sandbox.id()));
            throw e instanceof SandboxException known ? translated(known) : e;
        }
        Instant now = now();
        Instant end = timeout.map(now::plus).orElse(source.endAt());
        Map<String, SandboxEntry> made = new HashMap<>();
        started.forEach(sandbox -> made.put(sandbox.id(), new SandboxEntry(
                source.copy(sandbox.id(), sandbox.vmId(), now, end), Optional.of(sandbox))));
        insert(made.values().stream().map(SandboxEntry::row).toList());
        for (Sandbox sandbox : started) {
            templates.retain(source.templateId());
            templates.spawned(source.templateId());
            takeUp(made.get(sandbox.id()), sandbox, "copied from " + source.id());
        }
        timer(operation, "From captured source to running copies").record(System.nanoTime() - begin,
                TimeUnit.NANOSECONDS);
        return outcomes.stream().map(outcome -> switch (outcome) {
            case CopyStarts.Outcome.Started(Sandbox sandbox) ->
                    new ForkResult(Optional.of(info(made.get(sandbox.id()).row())), Optional.empty());
            case CopyStarts.Outcome.Failed(RuntimeException reason) ->
                    new ForkResult(Optional.empty(), Optional.of(failure(reason)));
        }).toList();
    }

    private static MasterException failure(RuntimeException reason) {
        return switch (reason) {
            case SandboxException known -> translated(known);
            case MasterException known -> known;
            default -> new MasterException(MasterException.Kind.FAILED, "An error in the server: " + reason, reason);
        };
    }

    @Override
    public void pause(String id, boolean keepMemory) {
        exclusively(id, entry -> {
            if (entry.sandbox().isEmpty()) {
                throw new MasterException(MasterException.Kind.CONFLICT, "Sandbox '%s' is paused already".formatted(id));
            }
            pause(entry, keepMemory);
            return null;
        });
    }

    /** Where the server ends in between, the image without its VM says that the sandbox is paused. */
    private void pause(SandboxEntry entry, boolean keepMemory) {
        String id = entry.row().id();
        try {
            timed("pause", () -> cubelet.pause(id, pausedImages.of(id), keepMemory));
        } catch (SandboxException e) {
            pausedImages.discard(id);
            throw e;
        }
        entry.become(row -> {
            SandboxRow paused = row.paused(now());
            try {
                table.updatePaused(paused);
            } catch (MasterException e) {
                LOG.warn("sandbox {}: {}; it is paused, which is found out at the next start", id, e.getMessage());
            }
            return paused;
        }, Optional.empty());
        logs.add(id, SandboxLogs.Level.INFO, keepMemory ? "paused" : "paused without its memory");
        vmGone(id);
    }

    @Override
    public SandboxInfo resume(String id, Duration timeout, Optional<Boolean> autoPause, boolean keepMemory) {
        Requests.checkTimeout(timeout);
        return exclusively(id, entry -> {
            if (entry.sandbox().isPresent()) {
                throw new MasterException(MasterException.Kind.CONFLICT, "Sandbox '%s' runs already".formatted(id));
            }
            resume(entry, timeout, autoPause, keepMemory);
            return info(entry.row());
        });
    }

    private Sandbox resume(SandboxEntry entry, Duration timeout, Optional<Boolean> autoPause, boolean keepMemory) {
        if (keepMemory && cubelet.holdsMemory(pausedImages.of(entry.row().id()))) {
            return resumeFrom(entry.row().id(), entry, timeout, autoPause);
        }
        return reboot(entry, timeout, autoPause);
    }

    /** Until it is written down that the sandbox runs it is paused as before, and what was booted belongs to nothing. */
    private Sandbox reboot(SandboxEntry entry, Duration timeout, Optional<Boolean> autoPause) {
        SandboxRow row = entry.row();
        String booted = row.id() + BOOTED_SUFFIX;
        pausedImages.discard(booted);
        try {
            timed("boot", () -> cubelet.reboot(new RebootSpec(row.id(), row.environment(), pausedImages.of(row.id()),
                    templates.files(row.templateId())), pausedImages.of(booted)));
            return resumeFrom(booted, entry, timeout, autoPause);
        } finally {
            pausedImages.discard(booted);
        }
    }

    private Sandbox resumeFrom(String image, SandboxEntry entry, Duration timeout, Optional<Boolean> autoPause) {
        String id = entry.row().id();
        Sandbox sandbox = timed("resume", () -> cubelet.create(
                new SandboxSpec(id, cubelet.openImage(pausedImages.of(image)), entry.row().environment())));
        try {
            entry.become(paused -> {
                OnTimeout action = autoPause.map(pauses -> OnTimeout.of(
                                pauses, paused.onTimeout().resumes(), paused.onTimeout().keepsMemory()))
                        .orElse(paused.onTimeout());
                SandboxRow running = paused.in(sandbox.vmId(), now().plus(timeout)).with(action);
                table.updateVm(running);
                return running;
            }, Optional.of(sandbox));
        } catch (RuntimeException e) {
            cubelet.destroy(id);
            throw e;
        }
        pausedImages.discard(id);
        logs.add(id, SandboxLogs.Level.INFO, "resumed");
        watch(entry, sandbox);
        return sandbox;
    }

    @Override
    public Connected connect(String id, Duration timeout, boolean keepMemory) {
        Requests.checkTimeout(timeout);
        return exclusively(id, entry -> {
            if (entry.sandbox().isPresent()) {
                return new Connected(extend(entry, timeout), false);
            }
            resume(entry, timeout, Optional.empty(), keepMemory);
            return new Connected(info(entry.row()), true);
        });
    }

    @Override
    public Optional<Sandbox> running(String id) {
        return Optional.ofNullable(entries.get(id)).flatMap(SandboxEntry::sandbox);
    }

    @Override
    public Optional<Sandbox> reachable(String id) {
        SandboxEntry entry = entries.get(id);
        if (entry == null) {
            return Optional.empty();
        }
        Optional<Sandbox> running = entry.sandbox();
        if (running.isPresent() && !isGone(running.get())) {
            return running;
        }
        return exclusively(id, found -> {
            Optional<Sandbox> now = found.sandbox();
            if (now.isPresent()) {
                return now.filter(sandbox -> !isGone(sandbox));
            }
            // One without memory would be another by the time that it answers.
            if (!found.row().onTimeout().resumes() || !cubelet.holdsMemory(pausedImages.of(id))) {
                return Optional.empty();
            }
            LOG.info("sandbox {} is resumed, since it is used", id);
            return Optional.of(
                    resume(found, longer(found.row().timeout(), LEAST_TIMEOUT_IN_USE), Optional.empty(), true));
        });
    }

    /** Whether its VM is gone, which may not have been dealt with yet. */
    private static boolean isGone(Sandbox sandbox) {
        return sandbox.gone().toCompletableFuture().isDone();
    }

    private static Duration longer(Duration one, Duration other) {
        return one.compareTo(other) > 0 ? one : other;
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
