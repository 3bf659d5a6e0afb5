package dev.cube.cli;

import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.SnapshotInfo;
import dev.cube.sdk.SnapshotOptions;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(name = "snapshot", mixinStandardHelpOptions = true, synopsisSubcommandLabel = "COMMAND",
        description = "Snapshots of sandboxes, which sandboxes are made from as from templates.")
final class SnapshotCommand {
    private static final double BYTES_PER_MEBIBYTE = 1 << 20;

    @Command(name = "create", mixinStandardHelpOptions = true,
            description = "Captures a running sandbox, which goes on.")
    int create(@Parameters(paramLabel = "SANDBOX", description = "ID of the sandbox") String sandbox,
            @Option(names = "--name", paramLabel = "NAME", description = "name that works like the ID")
                    Optional<String> name,
            @Option(names = "--durable", description = "wait until the snapshot is on disk") boolean durable,
            @Mixin Output output) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            SnapshotInfo created = client.snapshots().create(sandbox, new SnapshotOptions(name, durable));
            output.print(created, Table.ofFields().row(created.id()));
            return 0;
        }
    }

    @Command(name = "list", aliases = "ls", mixinStandardHelpOptions = true, description = "Lists the snapshots.")
    int list(@Option(names = "--sandbox", paramLabel = "SANDBOX", description = "only those of this sandbox")
                    Optional<String> sandbox,
            @Mixin Output output) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            List<SnapshotInfo> snapshots =
                    sandbox.map(client.snapshots()::list).orElseGet(client.snapshots()::list);
            output.print(snapshots, table(snapshots, Instant.now()));
            return 0;
        }
    }

    @Command(name = "info", mixinStandardHelpOptions = true, description = "Describes a snapshot.")
    int info(@Parameters(paramLabel = "SNAPSHOT", description = "ID or name") String snapshot, @Mixin Output output) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            SnapshotInfo info = client.snapshots().get(snapshot);
            output.print(info, Table.ofFields()
                    .row("Snapshot", info.id())
                    .row("Names", String.join(" ", info.names()))
                    .row("Sandbox", info.sandboxId())
                    .row("Template", info.templateId())
                    .row("State", info.reason() == null ? info.state() : info.state() + ": " + info.reason())
                    .row("Written", written(info))
                    .row("CPU", info.cpuCount())
                    .row("Memory", new Size(info.memoryMB()))
                    .row("Created", Times.exact(info.createdAt())));
            return 0;
        }
    }

    @Command(name = "delete", aliases = "rm", mixinStandardHelpOptions = true,
            description = "Deletes snapshots. Sandboxes made from them go on.")
    int delete(@Parameters(paramLabel = "SNAPSHOT", arity = "1..*", description = "IDs or names")
            List<String> snapshots) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            snapshots.forEach(client.snapshots()::delete);
            return 0;
        }
    }

    static Table table(List<SnapshotInfo> snapshots, Instant now) {
        Table table = Table.of("SNAPSHOT", "NAMES", "SANDBOX", "TEMPLATE", "STATE", "WRITTEN", "AGE");
        for (SnapshotInfo info : snapshots) {
            table.row(info.id(), String.join(" ", info.names()), info.sandboxId(), info.templateId(), info.state(),
                    written(info), Times.age(info.createdAt(), now));
        }
        return table;
    }

    private static String written(SnapshotInfo info) {
        return info.writtenBytes() == null ? ""
                : String.format(Locale.ROOT, "%.1f MiB", info.writtenBytes() / BYTES_PER_MEBIBYTE);
    }
}
