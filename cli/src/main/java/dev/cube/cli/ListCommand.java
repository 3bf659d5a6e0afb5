package dev.cube.cli;

import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.SandboxInfo;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(name = "list", aliases = "ls", mixinStandardHelpOptions = true, description = "Lists the sandboxes.")
final class ListCommand implements Callable<Integer> {
    @Option(names = "--metadata", paramLabel = "NAME=VALUE", description = "only sandboxes with this metadata")
    private Map<String, String> metadata = Map.of();

    @Mixin
    private Output output;

    @Override
    public Integer call() {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            List<SandboxInfo> sandboxes = client.list(metadata);
            output.print(sandboxes, table(sandboxes, Instant.now()));
            return 0;
        }
    }

    static Table table(List<SandboxInfo> sandboxes, Instant now) {
        Table table = Table.of("SANDBOX", "TEMPLATE", "STATE", "CPU", "MEMORY", "AGE", "TIME LEFT", "METADATA");
        for (SandboxInfo sandbox : sandboxes) {
            table.row(sandbox.id(), sandbox.alias() == null ? sandbox.templateId() : sandbox.alias(), sandbox.state(),
                    sandbox.cpuCount(), new Size(sandbox.memoryMB()), Times.age(sandbox.startedAt(), now),
                    Times.left(sandbox.endAt(), now), metadata(sandbox));
        }
        return table;
    }

    static String metadata(SandboxInfo sandbox) {
        return sandbox.metadata() == null ? "" : sandbox.metadata().entrySet().stream()
                .sorted(Map.Entry.comparingByKey())
                .map(entry -> entry.getKey() + "=" + entry.getValue())
                .collect(Collectors.joining(" "));
    }
}
