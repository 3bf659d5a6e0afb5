package dev.cube.cli;

import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.TemplateInfo;
import java.io.PrintWriter;
import java.time.Instant;
import java.util.List;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(name = "tpl", mixinStandardHelpOptions = true, synopsisSubcommandLabel = "COMMAND",
        description = "Templates, which sandboxes are made from.",
        subcommands = CreateFromImageCommand.class)
final class TplCommand {
    @Spec
    private CommandSpec spec;

    @Command(name = "list", aliases = "ls", mixinStandardHelpOptions = true, description = "Lists the templates.")
    int list(@Mixin Output output) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            List<TemplateInfo> templates = client.templates().list();
            output.print(templates, table(templates, Instant.now()));
            return 0;
        }
    }

    @Command(name = "info", mixinStandardHelpOptions = true, description = "Describes a template.")
    int info(@Parameters(paramLabel = "TEMPLATE", description = "ID or name") String template, @Mixin Output output) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            TemplateInfo info = client.templates().get(template);
            output.print(info, fields(info));
            return 0;
        }
    }

    @Command(name = "watch", mixinStandardHelpOptions = true,
            description = "Follows the job that makes a template to its end.")
    int watch(@Parameters(paramLabel = "TEMPLATE", description = "ID or name") String template) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            return watch(client, template, spec.commandLine().getOut(), spec.commandLine().getErr());
        }
    }

    @Command(name = "delete", aliases = "rm", mixinStandardHelpOptions = true,
            description = "Deletes templates, or cancels the jobs that make them. Sandboxes made from them go on.")
    int delete(@Parameters(paramLabel = "TEMPLATE", arity = "1..*", description = "IDs or names")
            List<String> templates) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            templates.forEach(client.templates()::delete);
            return 0;
        }
    }

    /** Prints a job's log until it ends; the exit status says whether the template is ready. */
    static int watch(CubeClient client, String template, PrintWriter out, PrintWriter err) {
        TemplateInfo info = client.templates().watch(template, line -> {
            out.println(line);
            out.flush();
        });
        if (info.isReady()) {
            out.println("template " + info.id() + " is ready");
            out.flush();
            return 0;
        }
        err.println("template %s failed: %s".formatted(info.id(), info.reason()));
        err.flush();
        return 1;
    }

    static Table table(List<TemplateInfo> templates, Instant now) {
        Table table = Table.of("TEMPLATE", "NAMES", "STATE", "CPU", "MEMORY", "DISK", "AGE", "SPAWNED", "IMAGE");
        for (TemplateInfo info : templates) {
            table.row(info.id(), String.join(" ", info.aliases()), info.state(), info.cpuCount(),
                    new Size(info.memoryMB()), new Size(info.diskSizeMB()), Times.age(info.createdAt(), now),
                    info.spawnCount(), info.image());
        }
        return table;
    }

    private static Table fields(TemplateInfo info) {
        return Table.ofFields()
                .row("Template", info.id())
                .row("Names", String.join(" ", info.aliases()))
                .row("State", info.state())
                .row("Reason", info.reason())
                .row("Image", info.image())
                .row("CPU", info.cpuCount())
                .row("Memory", new Size(info.memoryMB()))
                .row("Disk", new Size(info.diskSizeMB()))
                .row("Ports", info.exposedPorts().stream().map(String::valueOf).collect(Collectors.joining(" ")))
                .row("Created", Times.exact(info.createdAt()))
                .row("Updated", Times.exact(info.updatedAt()))
                .row("Job", info.jobId())
                .row("Spawned", info.spawnCount() + " sandboxes so far");
    }
}
