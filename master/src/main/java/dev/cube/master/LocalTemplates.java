package dev.cube.master;

import dev.cube.cubelet.Cubelet;
import dev.cube.cubelet.Sandbox;
import dev.cube.cubelet.SandboxException;
import dev.cube.cubelet.SandboxSpec;
import dev.cube.cubelet.Template;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Templates, kept in memory and written through to the database. The files of one lie in a directory named by its ID,
 * and stay until no sandbox runs from them and no snapshot is of one that did.
 */
final class LocalTemplates implements Templates {
    private static final Logger LOG = LoggerFactory.getLogger(LocalTemplates.class);
    /** Each build boots a VM and unpacks an image. */
    private static final int CONCURRENT_JOBS = 2;
    private static final Duration LOG_WAIT = Duration.ofSeconds(3);

    private final Path directory;
    private final Cubelet cubelet;
    private final TemplateTable table;
    private final MeterRegistry metrics;
    private final Semaphore jobSlots = new Semaphore(CONCURRENT_JOBS, true);
    private final ReentrantLock lock = new ReentrantLock();
    private final Map<String, Entry> entries = new HashMap<>();
    private final Map<String, String> aliases = new HashMap<>();
    private boolean closed;

    /** A template in memory; guarded by the lock. */
    private static final class Entry {
        TemplateRow row;
        Template template;
        TemplateJob job;
        int holds;
        /** Why the files of a ready template cannot be used, if so: not kept, since it may be put right. */
        String problem = "";

        Entry(TemplateRow row) {
            this.row = row;
        }
    }

    LocalTemplates(Path directory, Cubelet cubelet, TemplateTable table, MeterRegistry metrics) {
        this.directory = directory;
        this.cubelet = cubelet;
        this.table = table;
        this.metrics = metrics;
        Gauge.builder("cube.templates.building", this, LocalTemplates::building).register(metrics);
    }

    /** Reads what an earlier server left; jobs that it did not finish have failed. */
    void load() {
        lock.lock();
        try {
            for (TemplateRow row : table.all()) {
                Entry entry = new Entry(row);
                entries.put(row.id(), entry);
                switch (row.state()) {
                    case BUILDING -> fail(entry, "The server ended while this template was being made;"
                            + " create it again");
                    case READY, FAILED, DELETED -> { }
                }
            }
            aliases.putAll(table.aliases());
        } finally {
            lock.unlock();
        }
    }

    /**
     * Opens the files of the templates that can be used, and removes those that no template or sandbox needs. Call when
     * the node has recovered its sandboxes, and they hold what they run from.
     */
    void open() {
        lock.lock();
        try {
            entries.values().stream().filter(entry -> entry.row.state() == TemplateRow.State.READY)
                    .forEach(this::open);
        } finally {
            lock.unlock();
        }
        removeLeftovers();
    }

    private void open(Entry entry) {
        try {
            entry.template = cubelet.openTemplate(files(entry.row.id()));
        } catch (SandboxException e) {
            LOG.error("template {} cannot be used: {}", entry.row.id(), e.getMessage());
            entry.problem = e.getMessage();
        }
    }

    private void removeLeftovers() {
        List<String> unused;
        lock.lock();
        try {
            unused = entries.values().stream()
                    .filter(entry -> entry.row.state() == TemplateRow.State.DELETED && entry.holds == 0)
                    .map(entry -> entry.row.id()).toList();
        } finally {
            lock.unlock();
        }
        unused.forEach(this::free);
        try (Stream<Path> children = Files.list(directory)) {
            children.filter(child -> !needsFiles(child.getFileName().toString())).forEach(child -> {
                LOG.info("removing {}, which belongs to no template", child);
                try {
                    cubelet.deleteTemplate(child);
                } catch (SandboxException e) {
                    LOG.warn("{}; the next start tries again", e.getMessage());
                }
            });
        } catch (IOException e) {
            throw new MasterException(MasterException.Kind.FAILED,
                    "The templates' directory %s cannot be read: %s".formatted(directory, e), e);
        }
    }

    private boolean needsFiles(String id) {
        lock.lock();
        try {
            Entry entry = entries.get(id);
            return entry != null && entry.row.state() != TemplateRow.State.FAILED;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public TemplateInfo create(CreateTemplate request) {
        Requests.check(request);
        Instant now = now();
        TemplateRow row = new TemplateRow(RandomNames.id(), TemplateRow.State.BUILDING, request.image(),
                request.shape().vcpus(), request.shape().memoryMib(), request.writableLayerBytes(),
                request.exposedPorts(), request.probePort(), request.aliases(), now, now, RandomNames.id(), "", 0);
        lock.lock();
        try {
            if (closed) {
                throw new MasterException(MasterException.Kind.FAILED, "The server is being stopped");
            }
            for (String alias : request.aliases()) {
                if (entries.containsKey(alias)) {
                    throw Requests.invalid("alias '%s' is the ID of a template".formatted(alias));
                }
            }
            table.insert(row);
            Entry entry = new Entry(row);
            entries.put(row.id(), entry);
            entry.job = new TemplateJob(row, request, files(row.id()), cubelet, table, jobSlots, metrics,
                    outcome -> finish(entry, outcome));
            entry.job.start();
            return info(entry);
        } finally {
            lock.unlock();
        }
    }

    private void finish(Entry entry, TemplateJob.Outcome outcome) {
        boolean cancelled;
        lock.lock();
        try {
            cancelled = entry.row.state() == TemplateRow.State.DELETED;
            if (!cancelled) {
                switch (outcome) {
                    case TemplateJob.Outcome.Built(Template template) -> ready(entry, template);
                    case TemplateJob.Outcome.Failed(String reason) -> fail(entry, reason);
                }
            }
        } finally {
            lock.unlock();
        }
        if (cancelled) {
            free(entry.row.id());
        }
    }

    private void ready(Entry entry, Template template) {
        TemplateRow row = entry.row.with(TemplateRow.State.READY, "", now());
        try {
            table.ready(row);
        } catch (MasterException e) {
            fail(entry, e.getMessage());
            cubelet.deleteTemplate(files(row.id()));
            return;
        }
        entry.row = row;
        entry.template = template;
        row.wantedAliases().forEach(alias -> aliases.put(alias, row.id()));
    }

    private void fail(Entry entry, String reason) {
        entry.row = entry.row.with(TemplateRow.State.FAILED, reason, now());
        table.updateState(entry.row);
    }

    @Override
    public TemplateInfo get(String idOrAlias) {
        lock.lock();
        try {
            return info(require(idOrAlias));
        } finally {
            lock.unlock();
        }
    }

    @Override
    public List<TemplateInfo> list() {
        lock.lock();
        try {
            return entries.values().stream().filter(LocalTemplates::visible).map(this::info)
                    .sorted(Comparator.comparing(TemplateInfo::createdAt).reversed().thenComparing(TemplateInfo::id))
                    .toList();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void delete(String idOrAlias) {
        Entry entry;
        TemplateJob job;
        boolean unused;
        lock.lock();
        try {
            entry = require(idOrAlias);
            TemplateRow deleted = entry.row.with(TemplateRow.State.DELETED, entry.row.reason(), now());
            table.updateState(deleted);
            job = entry.row.state() == TemplateRow.State.BUILDING ? entry.job : null;
            entry.row = deleted;
            aliases.values().removeIf(deleted.id()::equals);
            unused = entry.holds == 0;
        } finally {
            lock.unlock();
        }
        if (job != null) {
            job.cancelAndWait();
        } else if (unused) {
            free(entry.row.id());
        }
    }

    private void free(String id) {
        try {
            cubelet.deleteTemplate(files(id));
            table.delete(id);
        } catch (SandboxException | MasterException e) {
            LOG.warn("template {} is removed at the next start: {}", id, e.getMessage());
            return;
        }
        lock.lock();
        try {
            entries.remove(id);
        } finally {
            lock.unlock();
        }
    }

    /** A hold on a ready template, to be let go of with {@link #release}; empty if there is no such template. */
    Optional<SandboxSource> hold(String idOrAlias) {
        lock.lock();
        try {
            Entry entry = entries.get(aliases.getOrDefault(idOrAlias, idOrAlias));
            if (entry == null || !visible(entry)) {
                return Optional.empty();
            }
            switch (state(entry)) {
                case BUILDING -> throw new MasterException(MasterException.Kind.CONFLICT,
                        "Template '%s' is still being made".formatted(idOrAlias));
                case FAILED -> throw new MasterException(MasterException.Kind.CONFLICT,
                        "Template '%s' failed: %s".formatted(idOrAlias, reason(entry)));
                case READY -> { }
            }
            entry.holds++;
            return Optional.of(source(entry.row, entry.template));
        } finally {
            lock.unlock();
        }
    }

    private SandboxSource source(TemplateRow row, Template template) {
        return new SandboxSource() {
            @Override
            public TemplateRow template() {
                return row;
            }

            @Override
            public Map<String, String> environment() {
                return template.environment();
            }

            @Override
            public Sandbox start(String id, Map<String, String> environment) {
                return cubelet.create(new SandboxSpec(id, template.image(), environment));
            }
        };
    }

    /**
     * Another hold on a template, also a deleted one, for a sandbox or snapshot that comes from it: of an earlier server,
     * or by way of others that hold it already.
     */
    TemplateRow retain(String id) {
        lock.lock();
        try {
            Entry entry = entries.get(id);
            entry.holds++;
            return entry.row;
        } finally {
            lock.unlock();
        }
    }

    /** Counts a sandbox made from a template; the database counts for itself. */
    void spawned(String id) {
        lock.lock();
        try {
            Entry entry = entries.get(id);
            entry.row = entry.row.spawned();
        } finally {
            lock.unlock();
        }
    }

    void release(String id) {
        boolean unused;
        lock.lock();
        try {
            Entry entry = entries.get(id);
            entry.holds--;
            unused = entry.holds == 0 && entry.row.state() == TemplateRow.State.DELETED;
        } finally {
            lock.unlock();
        }
        if (unused) {
            free(id);
        }
    }

    /** The first of a template's aliases. */
    Optional<String> alias(String id) {
        lock.lock();
        try {
            Entry entry = entries.get(id);
            return entry == null ? Optional.empty() : owned(entry.row).stream().findFirst();
        } finally {
            lock.unlock();
        }
    }

    /** The template that has this alias. */
    Optional<String> withAlias(String alias) {
        lock.lock();
        try {
            return Optional.ofNullable(aliases.get(alias));
        } finally {
            lock.unlock();
        }
    }

    @Override
    public JobLog log(String templateId, int offset) {
        if (offset < 0) {
            throw Requests.invalid("offset must not be negative, but is %d".formatted(offset));
        }
        TemplateJob job;
        TemplateInfo before;
        lock.lock();
        try {
            Entry entry = require(templateId);
            before = info(entry);
            job = entry.job;
        } finally {
            lock.unlock();
        }
        if (before.state() == TemplateInfo.State.BUILDING) {
            job.awaitLine(offset, LOG_WAIT);
        }
        TemplateInfo after = get(before.id());
        List<String> lines = table.log(before.id(), offset);
        return new JobLog(lines, offset + lines.size(), after.state(),
                after.reason().isEmpty() ? Optional.empty() : Optional.of(after.reason()));
    }

    private Entry require(String idOrAlias) {
        Entry entry = entries.get(aliases.getOrDefault(idOrAlias, idOrAlias));
        if (entry == null || !visible(entry)) {
            throw new MasterException(MasterException.Kind.NOT_FOUND,
                    "There is no template '%s'".formatted(idOrAlias));
        }
        return entry;
    }

    private static boolean visible(Entry entry) {
        return entry.row.state() != TemplateRow.State.DELETED;
    }

    private TemplateInfo info(Entry entry) {
        TemplateRow row = entry.row;
        return new TemplateInfo(row.id(), owned(row), state(entry), row.image(), row.cpuCount(), row.memoryMib(),
                row.diskMib(), row.exposedPorts(), row.createdAt(), row.updatedAt(), row.jobId(), reason(entry),
                row.spawnCount());
    }

    private static TemplateInfo.State state(Entry entry) {
        return entry.problem.isEmpty() ? TemplateInfo.State.valueOf(entry.row.state().name())
                : TemplateInfo.State.FAILED;
    }

    private static String reason(Entry entry) {
        return entry.problem.isEmpty() ? entry.row.reason() : entry.problem;
    }

    /** In the order in which they were asked for; a template being made shows those that it will have. */
    private List<String> owned(TemplateRow row) {
        return row.state() == TemplateRow.State.BUILDING ? row.wantedAliases()
                : row.wantedAliases().stream().filter(alias -> row.id().equals(aliases.get(alias))).toList();
    }

    private double building() {
        lock.lock();
        try {
            return entries.values().stream().filter(entry -> entry.row.state() == TemplateRow.State.BUILDING).count();
        } finally {
            lock.unlock();
        }
    }

    /** Where a template's files are. */
    Path files(String id) {
        return directory.resolve(id);
    }

    private static Instant now() {
        return Instant.now().truncatedTo(ChronoUnit.MILLIS);
    }

    /** Ends the jobs, which fail. */
    void close() {
        List<TemplateJob> jobs = new ArrayList<>();
        lock.lock();
        try {
            closed = true;
            entries.values().forEach(entry -> {
                if (entry.row.state() == TemplateRow.State.BUILDING) {
                    jobs.add(entry.job);
                }
            });
        } finally {
            lock.unlock();
        }
        jobs.forEach(TemplateJob::cancelAndWait);
    }
}
