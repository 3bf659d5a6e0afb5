package dev.cube.master;

import java.time.Instant;
import java.util.List;

/** API keys; only their hashes are kept. Thread-safe. Calls throw {@link MasterException}. */
public interface ApiKeys {
    /** @param hint the key's first characters, to tell it from others */
    record KeyInfo(String id, String name, String hint, Instant createdAt) {}

    /** @param key shown this once */
    record NewKey(KeyInfo info, String key) {}

    NewKey create(String name);

    List<KeyInfo> list();

    /** {@code NOT_FOUND} if there is none. */
    void delete(String id);

    boolean valid(String key);
}
