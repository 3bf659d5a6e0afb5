package dev.cube.api;

import dev.cube.master.ApiKeys;
import dev.cube.master.MasterException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Keys kept as they are. */
final class FakeApiKeys implements ApiKeys {
    private final Map<String, KeyInfo> byKey = new LinkedHashMap<>();

    @Override
    public synchronized NewKey create(String name) {
        String key = "cube_" + byKey.size() + "_secret";
        var info = new KeyInfo("k" + byKey.size(), name, "cube_", FakeSandboxes.NOW);
        byKey.put(key, info);
        return new NewKey(info, key);
    }

    @Override
    public synchronized List<KeyInfo> list() {
        return List.copyOf(byKey.values());
    }

    @Override
    public synchronized void delete(String id) {
        if (!byKey.values().removeIf(info -> info.id().equals(id))) {
            throw new MasterException(MasterException.Kind.NOT_FOUND, "there is no API key " + id);
        }
    }

    @Override
    public synchronized boolean valid(String key) {
        return byKey.containsKey(key);
    }
}
