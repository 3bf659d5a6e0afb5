package dev.cube.master;

import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.jdbi.v3.core.Handle;

/** The tables of templates, their aliases, and their jobs' logs. */
final class TemplateTable {
    private final Database database;

    TemplateTable(Database database) {
        this.database = database;
    }

    void insert(TemplateRow row) {
        database.write(handle -> handle.execute("INSERT INTO templates (id, state, image, cpu_count, memory_mib,"
                + " disk_bytes, exposed_ports, probe_port, wanted_aliases, created_at, updated_at, job_id, reason,"
                + " spawn_count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row.id(), row.state().name(), row.image(), row.cpuCount(), row.memoryMib(), row.diskBytes(),
                JsonColumn.write(row.exposedPorts()), row.probePort().orElse(null),
                JsonColumn.write(row.wantedAliases()), row.createdAt().toEpochMilli(),
                row.updatedAt().toEpochMilli(), row.jobId(), row.reason(), row.spawnCount()));
    }

    /** Changes the state to one that is not ready; the template's aliases are free then. */
    void updateState(TemplateRow row) {
        database.write(handle -> {
            update(handle, row);
            handle.execute("DELETE FROM template_aliases WHERE template_id = ?", row.id());
        });
    }

    /** Makes a template ready, and gives it the aliases that it wants. On disk when this returns, as its files are. */
    void ready(TemplateRow row) {
        database.writeDurably(handle -> {
            update(handle, row);
            for (String alias : row.wantedAliases()) {
                handle.execute("DELETE FROM template_aliases WHERE alias = ?", alias);
                handle.execute("INSERT INTO template_aliases (alias, template_id) VALUES (?, ?)", alias, row.id());
            }
        });
    }

    private static void update(Handle handle, TemplateRow row) {
        handle.execute("UPDATE templates SET state = ?, reason = ?, updated_at = ? WHERE id = ?",
                row.state().name(), row.reason(), row.updatedAt().toEpochMilli(), row.id());
    }

    void delete(String id) {
        database.write(handle -> {
            handle.execute("DELETE FROM template_aliases WHERE template_id = ?", id);
            handle.execute("DELETE FROM template_log WHERE template_id = ?", id);
            handle.execute("DELETE FROM templates WHERE id = ?", id);
        });
    }

    void appendLog(String id, int line, String text) {
        database.write(handle -> handle.execute(
                "INSERT INTO template_log (template_id, line, text) VALUES (?, ?, ?)", id, line, text));
    }

    List<String> log(String id, int fromLine) {
        return database.read(handle -> handle
                .createQuery("SELECT text FROM template_log WHERE template_id = :id AND line >= :from ORDER BY line")
                .bind("id", id).bind("from", fromLine).mapTo(String.class).list());
    }

    List<TemplateRow> all() {
        return database.read(handle -> handle.createQuery("SELECT * FROM templates")
                .map((rs, context) -> row(rs)).list());
    }

    /** Template IDs by alias. */
    Map<String, String> aliases() {
        return database.read(handle -> handle.createQuery("SELECT alias, template_id FROM template_aliases")
                .map((rs, context) -> Map.entry(rs.getString(1), rs.getString(2))).stream()
                .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue)));
    }

    private static TemplateRow row(ResultSet rs) throws SQLException {
        int probePort = rs.getInt("probe_port");
        Optional<Integer> probe = rs.wasNull() ? Optional.empty() : Optional.of(probePort);
        return new TemplateRow(rs.getString("id"), TemplateRow.State.valueOf(rs.getString("state")),
                rs.getString("image"), rs.getInt("cpu_count"), rs.getInt("memory_mib"), rs.getLong("disk_bytes"),
                JsonColumn.read(rs.getString("exposed_ports"), JsonColumn.NUMBERS), probe,
                JsonColumn.read(rs.getString("wanted_aliases"), JsonColumn.TEXTS),
                Instant.ofEpochMilli(rs.getLong("created_at")), Instant.ofEpochMilli(rs.getLong("updated_at")),
                rs.getString("job_id"), rs.getString("reason"), rs.getLong("spawn_count"));
    }
}
