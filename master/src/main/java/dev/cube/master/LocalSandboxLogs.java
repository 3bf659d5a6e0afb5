package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;

/** The logs of this server's sandboxes: in memory, and in the database when they are {@linkplain #save saved}. */
final class LocalSandboxLogs {
    private static final int ENDED_KEPT = 200;
    /** E2B's command-line tool filters by what the names of loggers begin with; it knows this one and {@code process}. */
    private static final String LIFE = "system";

    private final HistoryTable<SandboxLog.Saved> table;
    private final ReentrantLock lock = new ReentrantLock();
    private final Set<String> changed = new HashSet<>();
    private final Map<String, SandboxLog> logs = new LinkedHashMap<>();
    private final Map<String, SandboxLog> ended = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, SandboxLog> eldest) {
            return size() > ENDED_KEPT;
        }
    };

    /** With what the last server saved. */
    LocalSandboxLogs(HistoryTable<SandboxLog.Saved> table) {
        this.table = table;
        Map<String, SandboxLog> saved = new HashMap<>();
        table.load().forEach((id, log) -> saved.put(id, SandboxLog.of(log)));
        saved.entrySet().stream().sorted(Comparator.comparing(entry -> entry.getValue().lastAt()))
                .forEach(entry -> (entry.getValue().ended() ? ended : logs).put(entry.getKey(), entry.getValue()));
    }

    /** Writes to the database what was logged since the last time. For one thread at a time. */
    void save() {
        Map<String, SandboxLog.Saved> fresh = new HashMap<>();
        Set<String> kept = new HashSet<>();
        lock.lock();
        try {
            kept.addAll(logs.keySet());
            kept.addAll(ended.keySet());
            changed.retainAll(kept);
            changed.forEach(id -> fresh.put(id, find(id).saved()));
            changed.clear();
        } finally {
            lock.unlock();
        }
        table.save(fresh, kept);
    }

    void add(String id, SandboxLogs.Level level, String logger, String message, Map<String, String> fields) {
        with(id, log -> {
            log.add(level, logger, message, fields);
            changed.add(id);
            return null;
        });
    }

    private <T> Optional<T> with(String id, Function<SandboxLog, T> action) {
        lock.lock();
        try {
            SandboxLog log = find(id);
            return log == null ? Optional.empty() : Optional.ofNullable(action.apply(log));
        } finally {
            lock.unlock();
        }
    }

    private SandboxLog find(String id) {
        return logs.containsKey(id) ? logs.get(id) : ended.get(id);
    }

    /** An event of the sandbox's life. */
    void add(String id, SandboxLogs.Level level, String event) {
        add(id, level, LIFE, event, Map.of());
    }

    /** Begins the log of a sandbox, or goes on with it. */
    void begin(String id, String event) {
        lock.lock();
        try {
            logs.putIfAbsent(id, new SandboxLog());
            add(id, SandboxLogs.Level.INFO, event);
        } finally {
            lock.unlock();
        }
    }

    /** The sandbox is gone; its log stays for some time. */
    void end(String id, String event) {
        lock.lock();
        try {
            add(id, SandboxLogs.Level.INFO, event);
            SandboxLog log = logs.remove(id);
            if (log != null) {
                log.end();
                ended.put(id, log);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Of all others the last server never said that they ended. */
    void endAllBut(Set<String> ids, String event) {
        lock.lock();
        try {
            List.copyOf(logs.keySet()).stream().filter(id -> !ids.contains(id)).forEach(id -> end(id, event));
        } finally {
            lock.unlock();
        }
    }

    /** Adds what the guest printed since the last time. Blocks. */
    void readConsole(Sandbox sandbox) {
        String console = sandbox.console();
        with(sandbox.id(), log -> {
            if (log.addConsole(console)) {
                changed.add(sandbox.id());
            }
            return null;
        });
    }

    Optional<List<SandboxLogs.Entry>> entries(String id, SandboxLogs.Query query) {
        return with(id, log -> log.entries(query));
    }

    /** With the consoles read when an owner asks. */
    SandboxLogs forOwners(Sandboxes sandboxes) {
        return new SandboxLogs() {
            @Override
            public List<Entry> entries(String id, Query query) {
                sandboxes.running(id).ifPresent(LocalSandboxLogs.this::readConsole);
                return LocalSandboxLogs.this.entries(id, query).orElseGet(() -> {
                    sandboxes.get(id);
                    return List.of();
                });
            }

            @Override
            public void record(String id, Level level, String logger, String message, Map<String, String> fields) {
                add(id, level, logger, message, fields);
            }
        };
    }
}
