package dev.cube.cli;

import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.SandboxInfo;
import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(name = "destroy", aliases = "rm", mixinStandardHelpOptions = true, description = "Kills sandboxes.")
final class DestroyCommand implements Callable<Integer> {
    @ArgGroup(multiplicity = "1")
    private Which which;

    @Spec
    private CommandSpec spec;

    private static final class Which {
        @Parameters(paramLabel = "SANDBOX", description = "IDs of sandboxes")
        private List<String> ids;

        @Option(names = "--all", description = "every sandbox")
        private boolean all;
    }

    @Override
    public Integer call() {
        PrintWriter out = spec.commandLine().getOut();
        PrintWriter err = spec.commandLine().getErr();
        int failures = 0;
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            List<String> ids = which.all ? client.list().stream().map(SandboxInfo::id).toList() : which.ids;
            for (String id : ids) {
                try {
                    client.kill(id);
                    out.println(id);
                } catch (CubeException e) {
                    if (e.status() == 0) {
                        throw e;
                    }
                    failures++;
                    err.println(id + ": " + e.getMessage());
                }
            }
        }
        out.flush();
        err.flush();
        return failures == 0 ? 0 : 1;
    }
}
