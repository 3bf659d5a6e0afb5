package dev.cube.envd.files;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestWatcher;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** The watchers that clients of one sandbox made and have not removed, of which its agent has a bound. Thread-safe. */
final class SandboxWatchers implements AutoCloseable {
    private static final SecureRandom RANDOM = new SecureRandom();
    private static final int ID_BYTES = 10;

    private final GuestAgent agent;
    private final ConcurrentHashMap<String, GuestWatcher> watchers = new ConcurrentHashMap<>();

    SandboxWatchers(GuestAgent agent) {
        this.agent = agent;
    }

    GuestAgent agent() {
        return agent;
    }

    /** The ID by which it is found again. */
    String add(GuestWatcher watcher) {
        byte[] random = new byte[ID_BYTES];
        RANDOM.nextBytes(random);
        String id = "w" + HexFormat.of().formatHex(random);
        watchers.put(id, watcher);
        return id;
    }

    Optional<GuestWatcher> get(String id) {
        return Optional.ofNullable(watchers.get(id));
    }

    Optional<GuestWatcher> remove(String id) {
        return Optional.ofNullable(watchers.remove(id));
    }

    @Override
    public void close() {
        watchers.values().forEach(GuestWatcher::close);
        watchers.clear();
    }
}
