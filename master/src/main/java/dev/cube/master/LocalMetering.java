package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Measures all running sandboxes every few seconds, and keeps the figures as long as the sandbox is there: in memory, and
 * in the database when they are {@linkplain #save saved}.
 */
final class LocalMetering implements Metering, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LocalMetering.class);
    /** As often as E2B does it. */
    static final Duration INTERVAL = Duration.ofSeconds(5);

    private final Sandboxes sandboxes;
    private final Consumer<Sandbox> active;
    private final HistoryTable<MetricsHistory.Saved> table;
    private final Map<String, SandboxMeter> meters = new ConcurrentHashMap<>();
    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("sandbox-metrics").factory());

    /**
     * With what the last server saved.
     *
     * @param active told of each sandbox that did something since it was looked at before; may block
     */
    LocalMetering(Sandboxes sandboxes, Consumer<Sandbox> active, HistoryTable<MetricsHistory.Saved> table) {
        this.sandboxes = sandboxes;
        this.active = active;
        this.table = table;
        table.load().forEach((id, saved) -> meters.put(id, new SandboxMeter(MetricsHistory.of(saved))));
    }

    void start() {
        timer.scheduleAtFixedRate(this::measureAll, INTERVAL.toMillis(), INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
    }

    void measureAll() {
        try {
            List<SandboxInfo> all = sandboxes.list(SandboxQuery.ALL, Integer.MAX_VALUE, Optional.empty()).sandboxes();
            meters.keySet().retainAll(all.stream().map(SandboxInfo::id).collect(Collectors.toSet()));
            for (SandboxInfo info : all) {
                // The guest may take its time.
                sandboxes.running(info.id()).ifPresent(sandbox -> Thread.startVirtualThread(() -> {
                    if (meter(info.id()).measureIfFree(sandbox)) {
                        active.accept(sandbox);
                    }
                }));
            }
        } catch (RuntimeException e) {
            LOG.error("sandboxes were not measured", e);
        }
    }

    /** Writes all figures to the database. For one thread at a time. */
    void save() {
        Map<String, MetricsHistory.Saved> all = new HashMap<>();
        meters.forEach((id, meter) -> all.put(id, meter.saved()));
        table.save(all, all.keySet());
    }

    private SandboxMeter meter(String id) {
        return meters.computeIfAbsent(id, unknown -> new SandboxMeter(new MetricsHistory(INTERVAL)));
    }

    @Override
    public List<SandboxMetrics> metrics(String id, Optional<Instant> start, Optional<Instant> end) {
        if (start.isPresent() && end.isPresent() && start.get().isAfter(end.get())) {
            throw Requests.invalid("start must not be after end");
        }
        refresh(sandboxes.get(id));
        return meter(id).between(start, end);
    }

    @Override
    public Map<String, SandboxMetrics> latest(Collection<String> ids) {
        List<SandboxInfo> known = ids.stream().distinct().map(this::find).flatMap(Optional::stream).toList();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            known.stream().filter(info -> meter(info.id()).latest().isEmpty())
                    .forEach(info -> threads.execute(() -> refresh(info)));
        }
        Map<String, SandboxMetrics> found = new HashMap<>();
        known.forEach(info -> meter(info.id()).latest().ifPresent(metrics -> found.put(info.id(), metrics)));
        return found;
    }

    private Optional<SandboxInfo> find(String id) {
        try {
            return Optional.of(sandboxes.get(id));
        } catch (MasterException e) {
            return Optional.empty();
        }
    }

    private void refresh(SandboxInfo info) {
        sandboxes.running(info.id()).ifPresent(sandbox -> meter(info.id()).refresh(sandbox));
    }

    @Override
    public void close() {
        timer.shutdownNow();
    }
}
