package dev.cube.master;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;

/** Why the sandboxes that ended last did, for those who still ask for them. */
final class Epitaphs {
    private static final int KEPT = 1_000;

    private final ReentrantLock lock = new ReentrantLock();
    private final Map<String, String> reasons = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, String> eldest) {
            return size() > KEPT;
        }
    };

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
                    ? "There is no sandbox '%s'".formatted(id) : "Sandbox '%s' is gone: %s".formatted(id, reason));
        } finally {
            lock.unlock();
        }
    }
}
