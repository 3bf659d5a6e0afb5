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
        subcommands = {SnapshotBench.class, DirtyBench.class, CreateFromSnapshotBench.class, RollbackBench.class,
                CloneBench.class, PauseResumeBench.class, DensityBench.class, FirstCommandBench.class,
                DataPlaneBench.class, ReportCommand.class})
public final class CubeBench implements Callable<Integer> {
    @Mixin
    private final CreateBench create = new CreateBench();

    private CubeBench() {}

    public static void main(String[] args) {
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.oneLine(new CommandLine(new CubeBench()));
    }

    /** The benchmark that a command line asks for, without running it. */
    static Benchmark parse(String... args) {
        var command = new CubeBench();
        CommandLine.ParseResult result = new CommandLine(command).parseArgs(args);
        return result.hasSubcommand() && result.subcommand().commandSpec().userObject() instanceof Benchmark benchmark
                ? benchmark : command.create;
    }

    @Override
    public Integer call() throws InterruptedException {
        return create.call();
    }
}
