package dev.cube.master;

import java.time.Instant;
import java.util.List;

/** API keys; only their hashes are kept. Thread-safe. */
public interface ApiKeys {
    record KeyInfo(String id, String name, String hint, Instant createdAt) {}

    /** Makes a key; the only time that it can be seen. */
    String create(String name);

    List<KeyInfo> list();

    void delete(String id);

    boolean valid(String key);
}
