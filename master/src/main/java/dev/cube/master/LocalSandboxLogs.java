package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;

/** The logs of this server's sandboxes. */
final class LocalSandboxLogs {
    private static final int ENDED_KEPT = 200;
    /** E2B's command-line tool filters by what the names of loggers begin with; it knows this one and {@code process}. */
    private static final String LIFE = "system";

    private final ReentrantLock lock = new ReentrantLock();
    private final Map<String, SandboxLog> logs = new LinkedHashMap<>();
    private final Map<String, SandboxLog> ended = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, SandboxLog> eldest) {
            return size() > ENDED_KEPT;
        }
    };

    void add(String id, SandboxLogs.Level level, String logger, String message, Map<String, String> fields) {
        with(id, log -> {
            log.add(level, logger, message, fields);
            return null;
        });
    }

    private <T> Optional<T> with(String id, Function<SandboxLog, T> action) {
        lock.lock();
        try {
            SandboxLog log = logs.containsKey(id) ? logs.get(id) : ended.get(id);
            return log == null ? Optional.empty() : Optional.ofNullable(action.apply(log));
        } finally {
            lock.unlock();
        }
    }

    /** An event of the sandbox's life. */
    void add(String id, SandboxLogs.Level level, String event) {
        add(id, level, LIFE, event, Map.of());
    }

    /** Begins the log of a sandbox. */
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
                ended.put(id, log);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Adds what the guest printed since the last time. Blocks. */
    void readConsole(Sandbox sandbox) {
        String console = sandbox.console();
        with(sandbox.id(), log -> {
            log.addConsole(console);
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
