package dev.cube.master;

import com.fasterxml.jackson.core.type.TypeReference;
import dev.cube.cubelet.Cubelet;
import io.micrometer.core.instrument.MeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * Templates, sandboxes, snapshots and API keys of one server, with their state under its home directory: {@code cube.db},
 * {@code templates/<id>/}, {@code snapshots/<id>/} and {@code paused/<sandbox>/}. Only one server may use a home directory at a time; its assembly sees to that.
 */
public final class Master implements AutoCloseable {
    private final Database database;
    private final LocalTemplates templates;
    private final LocalSnapshots snapshots;
    private final LocalSandboxes sandboxes;
    private final StoredApiKeys apiKeys;
    private final LocalMetering metering;
    private final SandboxLogs logs;
    private final HistorySaver histories;

    private Master(Database database, LocalTemplates templates, LocalSnapshots snapshots, LocalSandboxes sandboxes, LocalSandboxLogs logs,
            StoredApiKeys apiKeys) {
        this.database = database;
        this.templates = templates;
        this.snapshots = snapshots;
        this.sandboxes = sandboxes;
        this.apiKeys = apiKeys;
        metering = new LocalMetering(sandboxes, logs::readConsole,
                new HistoryTable<>(database, "sandbox_metrics", new TypeReference<>() {}));
        histories = new HistorySaver(logs, metering);
        this.logs = logs.forOwners(sandboxes);
    }

    /**
     * Opens the state, takes up the sandboxes that an earlier server left running, and removes what it left behind.
     *
     * @param cubelet just constructed; closed by the caller, after this
     * @throws MasterException if the state cannot be read or written
     */
    public static Master open(Path home, Cubelet cubelet, MeterRegistry metrics) {
        Path templateFiles = home.resolve("templates");
        try {
            Files.createDirectories(templateFiles);
        } catch (IOException e) {
            throw new MasterException(MasterException.Kind.FAILED,
                    "The directory %s cannot be made: %s".formatted(templateFiles, e.getMessage()), e);
        }
        Database database = Database.open(home.resolve("cube.db"));
        try {
            LocalTemplates templates = new LocalTemplates(templateFiles, cubelet, new TemplateTable(database), metrics);
            LocalSnapshots snapshots = new LocalSnapshots(new ImageDirectory(home.resolve("snapshots"), cubelet), cubelet,
                    templates, new SnapshotTable(database), metrics);
            var logs = new LocalSandboxLogs(new HistoryTable<>(database, "sandbox_logs", new TypeReference<>() {}));
            LocalSandboxes sandboxes = new LocalSandboxes(cubelet, templates, snapshots,
                    new ImageDirectory(home.resolve("paused"), cubelet), new SandboxTable(database), logs,
                    metrics);
            templates.load();
            sandboxes.recover();
            snapshots.recover();
            templates.open();
            var master = new Master(database, templates, snapshots, sandboxes, logs, new StoredApiKeys(database));
            master.metering.start();
            master.histories.start();
            return master;
        } catch (RuntimeException e) {
            database.close();
            throw e;
        }
    }

    public Templates templates() {
        return templates;
    }

    public Snapshots snapshots() {
        return snapshots;
    }

    public Sandboxes sandboxes() {
        return sandboxes;
    }

    public Metering metering() {
        return metering;
    }

    public SandboxLogs logs() {
        return logs;
    }

    public ApiKeys apiKeys() {
        return apiKeys;
    }

    /** Has {@code listener} told the ID of every sandbox that is gone from now on, by whatever cause. */
    public void onSandboxGone(Consumer<String> listener) {
        sandboxes.onGone(listener);
    }

    /** Has {@code listener} told the ID of every sandbox whose VM is gone: with it, or because it was paused or rolled back. */
    public void onVmGone(Consumer<String> listener) {
        sandboxes.onVmGone(listener);
    }

    /** Ends the jobs that make templates, which fail, and writes no more. Sandboxes run on. */
    @Override
    public void close() {
        metering.close();
        sandboxes.close();
        snapshots.close();
        templates.close();
        histories.close();
        database.close();
    }
}
