package dev.cube.master;

import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/** The table of sandboxes. */
final class SandboxTable {
    private final Database database;

    SandboxTable(Database database) {
        this.database = database;
    }

    /** Adds a sandbox, and counts it with its template. */
    void insert(SandboxRow row) {
        database.write(handle -> {
            handle.execute("INSERT INTO sandboxes (id, template_id, state, vm_id, identified, started_at, end_at,"
                    + " cpu_count, memory_mib, disk_mib, metadata, environment, access_token, auto_pause,"
                    + " network) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row.id(), row.templateId(), row.state().name(), row.vmId().orElse(null), row.identified(),
                    row.startedAt().toEpochMilli(), row.endAt().toEpochMilli(), row.cpuCount(), row.memoryMib(),
                    row.diskMib(), JsonColumn.write(row.metadata()), JsonColumn.write(row.environment()),
                    row.accessToken().orElse(null), row.autoPause(), JsonColumn.write(row.network()));
            handle.execute("UPDATE templates SET spawn_count = spawn_count + 1 WHERE id = ?", row.templateId());
        });
    }

    void updateIdentified(String id) {
        database.write(handle -> handle.execute("UPDATE sandboxes SET identified = ? WHERE id = ?", true, id));
    }

    void updateEndAt(String id, Instant endAt) {
        database.write(handle -> handle.execute("UPDATE sandboxes SET end_at = ? WHERE id = ?",
                endAt.toEpochMilli(), id));
    }

    void updateNetwork(String id, SandboxNetwork network) {
        database.write(handle -> handle.execute("UPDATE sandboxes SET network = ? WHERE id = ?",
                JsonColumn.write(network), id));
    }

    void delete(String id) {
        database.write(handle -> handle.execute("DELETE FROM sandboxes WHERE id = ?", id));
    }

    List<SandboxRow> all() {
        return database.read(handle -> handle.createQuery("SELECT * FROM sandboxes")
                .map((rs, context) -> row(rs)).list());
    }

    private static SandboxRow row(ResultSet rs) throws SQLException {
        return new SandboxRow(rs.getString("id"), rs.getString("template_id"),
                SandboxInfo.State.valueOf(rs.getString("state")), Optional.ofNullable(rs.getString("vm_id")),
                rs.getBoolean("identified"), Instant.ofEpochMilli(rs.getLong("started_at")),
                Instant.ofEpochMilli(rs.getLong("end_at")), rs.getInt("cpu_count"), rs.getInt("memory_mib"),
                rs.getInt("disk_mib"), JsonColumn.read(rs.getString("metadata"), JsonColumn.TEXT_MAP),
                JsonColumn.read(rs.getString("environment"), JsonColumn.TEXT_MAP),
                Optional.ofNullable(rs.getString("access_token")), rs.getBoolean("auto_pause"),
                JsonColumn.read(rs.getString("network"), JsonColumn.NETWORK));
    }
}
