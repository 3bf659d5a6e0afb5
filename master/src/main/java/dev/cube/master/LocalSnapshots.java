package dev.cube.master;

import dev.cube.cubelet.Cubelet;
import dev.cube.cubelet.Sandbox;
import dev.cube.cubelet.SandboxSpec;
import dev.cube.hypervisor.VmImage;
import dev.cube.hypervisor.VmSnapshot;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Snapshots, kept in memory and written through to the database. The image of one lies in a directory named by its ID. A
 * row is written before anybody is told of the snapshot, so after a crash files without a row belong to nobody; it is
 * deleted before the files. Until a snapshot is durable, a row without files is one that did not survive the machine, or
 * that never came about.
 */
final class LocalSnapshots implements Snapshots {
    private static final Logger LOG = LoggerFactory.getLogger(LocalSnapshots.class);
    /** When one that could not be made durable is tried again: twice as late each time. */
    private static final Duration FIRST_RETRY = Duration.ofSeconds(1);
    private static final Duration LONGEST_RETRY = Duration.ofMinutes(1);
    private static final Comparator<SnapshotRow> NEWEST_FIRST =
            Comparator.comparing(SnapshotRow::createdAt).reversed().thenComparing(SnapshotRow::id);

    private final ImageDirectory directory;
    private final Cubelet cubelet;
    private final LocalTemplates templates;
    private final SnapshotTable table;
    private final ConcurrentMap<String, Entry> entries = new ConcurrentHashMap<>();
    /** IDs by full name. */
    private final ConcurrentMap<String, String> names = new ConcurrentHashMap<>();
    private final Epitaphs epitaphs = new Epitaphs("snapshot");
    private final ExecutorService inserting =
            Executors.newThreadPerTaskExecutor(Thread.ofVirtual().name("insert-", 0).factory());
    private volatile boolean closed;

    /** A snapshot in memory. */
    static final class Entry {
        private final VmSnapshot snapshot;
        /** The outcome of the first attempt to make it durable. */
        private final CompletableFuture<Void> durable = new CompletableFuture<>();
        /** Read while the image is used, written to remove it. */
        private final ReentrantReadWriteLock using = new ReentrantReadWriteLock();
        private volatile SnapshotRow row;
        /** Why it is not durable yet, if that has been tried. */
        private volatile Optional<String> reason = Optional.empty();
        private boolean deleted;

        private Entry(SnapshotRow row, VmSnapshot snapshot) {
            this.row = row;
            this.snapshot = snapshot;
        }

        SnapshotRow row() {
            return row;
        }
    }

    LocalSnapshots(ImageDirectory directory, Cubelet cubelet, LocalTemplates templates, SnapshotTable table,
            MeterRegistry metrics) {
        this.directory = directory;
        this.cubelet = cubelet;
        this.templates = templates;
        this.table = table;
        Gauge.builder("cube.snapshots", entries, Map::size).register(metrics);
    }

    /** Takes up what an earlier server left. Call when the node has recovered its sandboxes. */
    void recover() {
        for (SnapshotRow row : table.all()) {
            Optional<VmSnapshot> found = cubelet.recoverSnapshot(directory.of(row.id()));
            if (found.isEmpty()) {
                String reason = row.durable()
                        ? "its files are gone" : "it was not durable yet when its machine or its holder died";
                LOG.warn("snapshot {} of sandbox {} is lost: {}", row.id(), row.sandboxId(), reason);
                epitaphs.add(row.id(), reason);
                table.delete(row.id());
                continue;
            }
            templates.retain(row.templateId());
            Entry entry = new Entry(row, found.get());
            entries.put(row.id(), entry);
            watch(entry);
        }
        names.putAll(table.names());
        cubelet.forgetUnrecovered();
        directory.discardAllBut(entries.keySet());
    }

    /** Takes a snapshot of a sandbox by {@code taker}, which is given the directory for its image. */
    Entry take(SandboxRow sandbox, Optional<SnapshotName> name, Function<Path, VmSnapshot> taker) {
        Optional<String> full = name.map(SnapshotName::full);
        SnapshotRow row = SnapshotRow.of(RandomNames.id(), sandbox, Instant.now().truncatedTo(ChronoUnit.MILLIS));
        templates.retain(row.templateId());
        Entry entry;
        // A name is moved from the snapshot that has it, and so only to one that is there. Otherwise the row is written
        // while the VM is forked, which leaves a processor free.
        Future<?> early = full.isPresent() ? null : inserting.submit(() -> table.insert(row, full));
        try {
            entry = new Entry(row, taker.apply(directory.of(row.id())));
            if (early == null) {
                table.insert(row, full);
            } else {
                await(early);
            }
        } catch (RuntimeException e) {
            removeRow(row, early);
            directory.discard(row.id());
            templates.release(row.templateId());
            throw e;
        }
        entries.put(row.id(), entry);
        full.ifPresent(given -> names.put(given, row.id()));
        watch(entry);
        return entry;
    }

    private static void await(Future<?> insertion) {
        try {
            insertion.get();
        } catch (ExecutionException e) {
            throw e.getCause() instanceof MasterException known ? known
                    : new MasterException(MasterException.Kind.FAILED, e.getCause().getMessage(), e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw stopping(e);
        }
    }

    /** Where this fails too, the row is found to be without files at the next start. */
    private void removeRow(SnapshotRow row, Future<?> insertion) {
        if (insertion == null) {
            return;
        }
        try {
            await(insertion);
            table.delete(row.id());
        } catch (MasterException e) {
            LOG.debug("snapshot {} came not about: {}", row.id(), e.getMessage());
        }
    }

    private void watch(Entry entry) {
        if (entry.row.durable()) {
            entry.durable.complete(null);
            return;
        }
        entry.snapshot.lost().thenAccept(reason -> Thread.startVirtualThread(() -> lost(entry, reason)));
        awaitAttempt(entry, FIRST_RETRY);
    }

    /** Follows the attempt under way. On a thread of its own, since the database waits for the disk then. */
    private void awaitAttempt(Entry entry, Duration retry) {
        entry.snapshot.durable().whenCompleteAsync((done, failure) -> {
            if (failure == null) {
                becameDurable(entry, retry);
            } else {
                isNotDurable(entry, failure instanceof CompletionException ? failure.getCause() : failure, retry);
            }
        }, task -> Thread.ofVirtual().name("durable-" + entry.row.id()).start(task));
    }

    private void becameDurable(Entry entry, Duration retry) {
        entry.using.readLock().lock();
        try {
            if (!entry.deleted && !closed) {
                SnapshotRow row = entry.row.durable(entry.snapshot.writtenBytes());
                table.durable(row);
                entry.row = row;
                entry.reason = Optional.empty();
            }
            entry.durable.complete(null);
        } catch (MasterException e) {
            isNotDurable(entry, e, retry);
        } finally {
            entry.using.readLock().unlock();
        }
    }

    /** A full disk may have room later; until then the snapshot is what it was, and says why. */
    private void isNotDurable(Entry entry, Throwable failure, Duration retry) {
        entry.reason = Optional.of(failure.getMessage());
        entry.durable.completeExceptionally(failure);
        if (!isOver(entry)) {
            LOG.warn("snapshot {} is not durable, which is tried again: {}", entry.row.id(), failure.getMessage());
            CompletableFuture.delayedExecutor(retry.toMillis(), TimeUnit.MILLISECONDS, Thread::startVirtualThread)
                    .execute(() -> tryAgain(entry, longer(retry)));
        }
    }

    private static Duration longer(Duration retry) {
        Duration twice = retry.multipliedBy(2);
        return twice.compareTo(LONGEST_RETRY) < 0 ? twice : LONGEST_RETRY;
    }

    private void tryAgain(Entry entry, Duration next) {
        entry.using.readLock().lock();
        try {
            if (!isOver(entry)) {
                entry.snapshot.retry();
                awaitAttempt(entry, next);
            }
        } finally {
            entry.using.readLock().unlock();
        }
    }

    private boolean isOver(Entry entry) {
        return closed || entries.get(entry.row.id()) != entry;
    }

    private void lost(Entry entry, String reason) {
        if (closed) {
            return; // found out at the next start
        }
        epitaphs.add(entry.row.id(), reason);
        try {
            if (remove(entry)) {
                LOG.warn("snapshot {} is lost: {}", entry.row.id(), reason);
            }
        } catch (MasterException e) {
            LOG.warn("snapshot {} is lost, which is found out at the next start: {}", entry.row.id(), e.getMessage());
        }
    }

    private static MasterException stopping(InterruptedException e) {
        return new MasterException(MasterException.Kind.FAILED, "The server is being stopped", e);
    }

    /** Waits until a snapshot is on disk. One that cannot be is deleted. */
    void awaitDurable(Entry entry) {
        try {
            entry.durable.get();
        } catch (ExecutionException e) {
            remove(entry);
            throw new MasterException(MasterException.Kind.FAILED,
                    "The snapshot could not be made durable: " + e.getCause().getMessage(), e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw stopping(e);
        }
    }

    /** Runs {@code use} with a snapshot's image, whose files stay until it returns. */
    <T> T with(Entry entry, Function<VmImage, T> use) {
        entry.using.readLock().lock();
        try {
            if (entry.deleted) {
                throw notFound(entry.row.id());
            }
            return use.apply(entry.snapshot.image());
        } finally {
            entry.using.readLock().unlock();
        }
    }

    /** The source for sandboxes made from a snapshot; with a hold on its template. Empty if there is none. */
    Optional<SandboxSource> hold(String idOrName) {
        return find(idOrName).map(entry -> {
            TemplateRow template = with(entry, image -> templates.retain(entry.row.templateId()));
            return new SandboxSource() {
                @Override
                public TemplateRow template() {
                    return template;
                }

                @Override
                public Map<String, String> environment() {
                    return entry.row.environment();
                }

                @Override
                public Sandbox start(String id, Map<String, String> environment) {
                    return with(entry, image -> cubelet.create(new SandboxSpec(id, image, environment)));
                }
            };
        });
    }

    Entry require(String idOrName) {
        return find(idOrName).orElseThrow(() -> notFound(idOrName));
    }

    private Optional<Entry> find(String idOrName) {
        Entry byId = entries.get(idOrName);
        if (byId != null) {
            return Optional.of(byId);
        }
        return SnapshotName.find(idOrName).map(name -> {
            String id = names.get(name.full());
            // E2B's snapshot IDs have a tag.
            return entries.get(id == null && name.hasDefaultTag() ? name.name() : String.valueOf(id));
        });
    }

    private MasterException notFound(String idOrName) {
        return epitaphs.notFound(idOrName);
    }

    @Override
    public SnapshotInfo get(String idOrName) {
        return info(require(idOrName));
    }

    @Override
    public boolean exists(String idOrName) {
        return find(idOrName).isPresent();
    }

    SnapshotInfo info(Entry entry) {
        SnapshotRow row = entry.row;
        return row.info(names(row.id()), entry.reason);
    }

    private Optional<String> reason(String id) {
        return Optional.ofNullable(entries.get(id)).flatMap(entry -> entry.reason);
    }

    private List<String> names(String id) {
        return names.entrySet().stream().filter(name -> name.getValue().equals(id)).map(Map.Entry::getKey).sorted()
                .toList();
    }

    @Override
    public Page list(Optional<String> sandboxId, Optional<String> name, int limit, Optional<String> nextToken) {
        if (limit < 1) {
            throw Requests.invalid("limit must be at least 1, not %d".formatted(limit));
        }
        Optional<PageToken> after = nextToken.map(PageToken::parse);
        Optional<SnapshotName> wanted = name.map(SnapshotName::parse);
        List<SnapshotRow> rows = entries.values().stream().map(Entry::row)
                .filter(row -> sandboxId.isEmpty() || sandboxId.get().equals(row.sandboxId()))
                .filter(row -> wanted.isEmpty() || isCalled(row, wanted.get()))
                .filter(row -> after.isEmpty() || isBehind(row, after.get()))
                .sorted(NEWEST_FIRST).limit(limit + 1L).toList();
        boolean more = rows.size() > limit;
        List<SnapshotRow> page = more ? rows.subList(0, limit) : rows;
        SnapshotRow last = more ? page.getLast() : null;
        return new Page(page.stream().map(row -> row.info(names(row.id()), reason(row.id()))).toList(),
                Optional.ofNullable(last).map(row -> new PageToken(row.createdAt(), row.id()).text()));
    }

    private boolean isCalled(SnapshotRow row, SnapshotName wanted) {
        return wanted.hasDefaultTag() && wanted.name().equals(row.id())
                || names(row.id()).stream().anyMatch(wanted::matches);
    }

    private static boolean isBehind(SnapshotRow row, PageToken token) {
        int byTime = row.createdAt().compareTo(token.startedAt());
        return byTime < 0 || byTime == 0 && row.id().compareTo(token.id()) > 0;
    }

    @Override
    public void delete(String idOrName) {
        Entry entry = require(idOrName);
        if (!remove(entry)) {
            throw notFound(idOrName);
        }
    }

    private boolean remove(Entry entry) {
        SnapshotRow row = entry.row;
        entry.using.writeLock().lock();
        try {
            if (entry.deleted) {
                return false;
            }
            table.delete(row.id());
            entry.deleted = true;
        } finally {
            entry.using.writeLock().unlock();
        }
        entries.remove(row.id());
        names.values().removeIf(row.id()::equals);
        directory.discard(row.id());
        templates.release(row.templateId());
        return true;
    }

    /** Writes no more; what becomes durable from now on is found out at the next start. */
    void close() {
        closed = true;
        inserting.close();
    }
}
