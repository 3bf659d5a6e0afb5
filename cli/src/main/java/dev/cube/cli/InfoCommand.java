package dev.cube.cli;

import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.SandboxInfo;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(name = "info", mixinStandardHelpOptions = true, description = "Describes a sandbox.")
final class InfoCommand implements Callable<Integer> {
    @Parameters(paramLabel = "SANDBOX", description = "ID of the sandbox")
    private String id;

    @Mixin
    private Output output;

    @Override
    public Integer call() {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            SandboxInfo sandbox = client.get(id);
            output.print(sandbox, Table.ofFields()
                    .row("Sandbox", sandbox.id())
                    .row("Template", sandbox.templateId())
                    .row("Alias", sandbox.alias())
                    .row("State", sandbox.state())
                    .row("Started", Times.exact(sandbox.startedAt()))
                    .row("Ends", Times.exact(sandbox.endAt()))
                    .row("CPU", sandbox.cpuCount())
                    .row("Memory", new Size(sandbox.memoryMB()))
                    .row("Disk", new Size(sandbox.diskSizeMB()))
                    .row("Metadata", ListCommand.metadata(sandbox)));
            return 0;
        }
    }
}
