package dev.cube.cli.bench;

import dev.cube.cli.Errors;
import dev.cube.cli.Version;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/**
 * {@code cube-bench}: measures a running Cube. Without a subcommand it measures creation, with the flags that the
 * reference's own {@code cube-bench} has; every other measurement is a subcommand.
 */
@Command(name = "cube-bench", mixinStandardHelpOptions = true, versionProvider = Version.class, sortOptions = false,
        description = "Measures how fast sandboxes are created, or with a subcommand something else.",
        footer = {"", "Reads E2B_API_URL, E2B_API_KEY and CUBE_TEMPLATE_ID; ./cube env prints them."},
        subcommands = {FirstCommandBench.class, DensityBench.class, DataPlaneBench.class})
public final class CubeBench implements Callable<Integer> {
    @Mixin
    private CreateBench create;

    private CubeBench() {}

    public static void main(String[] args) {
        System.exit(Errors.oneLine(new CommandLine(new CubeBench())).execute(args));
    }

    @Override
    public Integer call() {
        return create.run();
    }
}
