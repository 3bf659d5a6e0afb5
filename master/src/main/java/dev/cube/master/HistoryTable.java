package dev.cube.master;

import com.fasterxml.jackson.core.type.TypeReference;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.jdbi.v3.core.Handle;

/** A table with something of each sandbox that the next server is to know. For one thread at a time. */
final class HistoryTable<T> {
    /** Other threads wait for the database while a transaction goes on. */
    private static final int ROWS_AT_A_TIME = 50;

    private final Database database;
    private final String name;
    private final TypeReference<T> type;
    private final Set<String> held = new HashSet<>();

    HistoryTable(Database database, String name, TypeReference<T> type) {
        this.database = database;
        this.name = name;
        this.type = type;
    }

    /** All that is there, by the sandboxes' IDs. */
    Map<String, T> load() {
        Map<String, T> all = new LinkedHashMap<>();
        database.read(handle -> handle.createQuery("SELECT sandbox_id, content FROM " + name)
                .map((rs, context) -> Map.entry(rs.getString("sandbox_id"), rs.getString("content"))).list())
                .forEach(row -> all.put(row.getKey(), JsonColumn.read(row.getValue(), type)));
        held.addAll(all.keySet());
        return all;
    }

    /** Writes what has changed, and removes all that is not {@code kept}. */
    void save(Map<String, T> changed, Set<String> kept) {
        List<Consumer<Handle>> statements = new ArrayList<>();
        changed.forEach((id, content) -> {
            String text = JsonColumn.write(content);
            statements.add(handle -> handle.execute("INSERT INTO " + name + " (sandbox_id, content) VALUES (?, ?)"
                    + " ON CONFLICT (sandbox_id) DO UPDATE SET content = excluded.content", id, text));
        });
        held.stream().filter(id -> !kept.contains(id)).forEach(id -> statements.add(handle ->
                handle.execute("DELETE FROM " + name + " WHERE sandbox_id = ?", id)));
        for (int from = 0; from < statements.size(); from += ROWS_AT_A_TIME) {
            List<Consumer<Handle>> some = statements.subList(from, Math.min(from + ROWS_AT_A_TIME, statements.size()));
            database.write(handle -> some.forEach(statement -> statement.accept(handle)));
        }
        held.addAll(changed.keySet());
        held.retainAll(kept);
    }
}
