package dev.cube.master;

import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/** The table of sandboxes. */
final class SandboxTable {
    private final Database database;

    SandboxTable(Database database) {
        this.database = database;
    }

    /** Adds sandboxes, all or none, and counts them with their templates. */
    void insert(List<SandboxRow> rows) {
        database.write(handle -> rows.forEach(row -> {
            handle.execute("INSERT INTO sandboxes (id, template_id, state, vm_id, identified, started_at, end_at,"
                    + " cpu_count, memory_mib, disk_mib, metadata, environment, access_token, auto_pause,"
                    + " auto_resume, auto_pause_memory, timeout_millis, network)"
                    + " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row.id(), row.templateId(), row.state().name(), row.vmId().orElse(null), row.identified(),
                    row.startedAt().toEpochMilli(), row.endAt().toEpochMilli(), row.cpuCount(), row.memoryMib(),
                    row.diskMib(), JsonColumn.write(row.metadata()), JsonColumn.write(row.environment()),
                    row.accessToken().orElse(null), row.onTimeout().pauses(), row.onTimeout().resumes(),
                    row.onTimeout().keepsMemory(), row.timeout().toMillis(), JsonColumn.write(row.network()));
            handle.execute("UPDATE templates SET spawn_count = spawn_count + 1 WHERE id = ?", row.templateId());
        }));
    }

    /** The sandbox goes on in another VM. */
    void updateVm(SandboxRow row) {
        database.write(handle -> handle.execute("UPDATE sandboxes SET state = ?, vm_id = ?, identified = ?, end_at = ?,"
                + " auto_pause = ?, auto_resume = ?, auto_pause_memory = ? WHERE id = ?", row.state().name(),
                row.vmId().orElse(null), row.identified(), row.endAt().toEpochMilli(), row.onTimeout().pauses(),
                row.onTimeout().resumes(), row.onTimeout().keepsMemory(), row.id()));
    }

    /** The sandbox has no VM any more, but an image on disk, as this is when it returns. */
    void updatePaused(SandboxRow row) {
        database.writeDurably(handle -> handle.execute(
                "UPDATE sandboxes SET state = ?, vm_id = NULL, identified = ?, end_at = ? WHERE id = ?",
                row.state().name(), row.identified(), row.endAt().toEpochMilli(), row.id()));
    }

    /** The agent in this VM has taken up the sandbox's identity. */
    void updateIdentified(String id, String vmId) {
        database.write(handle -> handle.execute("UPDATE sandboxes SET identified = ? WHERE id = ? AND vm_id = ?", true, id,
                vmId));
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
                Optional.ofNullable(rs.getString("access_token")), Duration.ofMillis(rs.getLong("timeout_millis")),
                OnTimeout.of(rs.getBoolean("auto_pause"), rs.getBoolean("auto_resume"),
                        rs.getBoolean("auto_pause_memory")),
                JsonColumn.read(rs.getString("network"), JsonColumn.NETWORK));
    }
}
