package dev.cube.api;

import dev.cube.master.MasterException;
import dev.cube.master.SandboxLogs;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A log with one entry, for every sandbox but {@code none}. */
final class FakeLogs implements SandboxLogs {
    final List<Query> queries = new ArrayList<>();

    @Override
    public List<Entry> entries(String sandboxId, Query query) {
        if (sandboxId.equals("none")) {
            throw new MasterException(MasterException.Kind.NOT_FOUND, "there is no sandbox none");
        }
        queries.add(query);
        return List.of(new Entry(FakeSandboxes.NOW, Level.WARN, "system", "it \"ends\"", Map.of("reason", "x")));
    }

    @Override
    public void record(String sandboxId, Level level, String logger, String message, Map<String, String> fields) {
        throw new UnsupportedOperationException();
    }
}
