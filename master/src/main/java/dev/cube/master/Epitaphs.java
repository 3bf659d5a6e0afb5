package dev.cube.master;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;

/** Why the sandboxes, or the snapshots, that ended last did, for those who still ask for them. */
final class Epitaphs {
    private static final int KEPT = 1_000;

    private final String kind;
    private final ReentrantLock lock = new ReentrantLock();
    private final Map<String, String> reasons = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, String> eldest) {
            return size() > KEPT;
        }
    };

    /** @param kind what they are, to be told to users */
    Epitaphs(String kind) {
        this.kind = kind;
    }

    void add(String id, String reason) {
        lock.lock();
        try {
            reasons.put(id, reason);
        } finally {
            lock.unlock();
        }
    }

    MasterException notFound(String id) {
        lock.lock();
        try {
            String reason = reasons.get(id);
            return new MasterException(MasterException.Kind.NOT_FOUND, reason == null
                    ? "There is no %s '%s'".formatted(kind, id) : "The %s '%s' is gone: %s".formatted(kind, id, reason));
        } finally {
            lock.unlock();
        }
    }
}
