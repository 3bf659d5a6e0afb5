package dev.cube.master;

import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Collectors;

/** The tables of snapshots and of their names. */
final class SnapshotTable {
    private final Database database;

    SnapshotTable(Database database) {
        this.database = database;
    }

    /** Adds a snapshot, and moves {@code name} to it from whichever has it. */
    void insert(SnapshotRow row, Optional<String> name) {
        database.write(handle -> {
            handle.execute("INSERT INTO snapshots (id, sandbox_id, template_id, created_at, durable, cpu_count,"
                    + " memory_mib, disk_mib, environment) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row.id(), row.sandboxId(), row.templateId(), row.createdAt().toEpochMilli(), row.durable(),
                    row.cpuCount(), row.memoryMib(), row.diskMib(), JsonColumn.write(row.environment()));
            name.ifPresent(given -> {
                handle.execute("DELETE FROM snapshot_names WHERE name = ?", given);
                handle.execute("INSERT INTO snapshot_names (name, snapshot_id) VALUES (?, ?)", given, row.id());
            });
        });
    }

    /** Its files are on disk, and so is this when it returns. */
    void durable(SnapshotRow row) {
        database.writeDurably(handle -> handle.execute(
                "UPDATE snapshots SET durable = ?, written_bytes = ? WHERE id = ?", true,
                row.writtenBytes().isPresent() ? row.writtenBytes().getAsLong() : null, row.id()));
    }

    void delete(String id) {
        database.write(handle -> {
            handle.execute("DELETE FROM snapshot_names WHERE snapshot_id = ?", id);
            handle.execute("DELETE FROM snapshots WHERE id = ?", id);
        });
    }

    List<SnapshotRow> all() {
        return database.read(handle -> handle.createQuery("SELECT * FROM snapshots")
                .map((rs, context) -> row(rs)).list());
    }

    /** Snapshot IDs by name. */
    Map<String, String> names() {
        return database.read(handle -> handle.createQuery("SELECT name, snapshot_id FROM snapshot_names")
                .map((rs, context) -> Map.entry(rs.getString(1), rs.getString(2))).stream()
                .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue)));
    }

    private static SnapshotRow row(ResultSet rs) throws SQLException {
        long written = rs.getLong("written_bytes");
        OptionalLong bytes = rs.wasNull() ? OptionalLong.empty() : OptionalLong.of(written);
        return new SnapshotRow(rs.getString("id"), rs.getString("sandbox_id"), rs.getString("template_id"),
                Instant.ofEpochMilli(rs.getLong("created_at")), rs.getBoolean("durable"), bytes,
                rs.getInt("cpu_count"), rs.getInt("memory_mib"), rs.getInt("disk_mib"),
                JsonColumn.read(rs.getString("environment"), JsonColumn.TEXT_MAP));
    }
}
