package dev.cube.server;

import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** The program {@code cube-server}. */
@Command(name = "cube-server", mixinStandardHelpOptions = true, versionProvider = CubeServer.VersionText.class,
        sortOptions = false, usageHelpAutoWidth = true,
        description = "Serves sandboxes on this machine until it is stopped by SIGTERM; they run on then.",
        footer = {"", "CUBE_LOG sets the log level: ERROR, WARN, INFO, DEBUG or TRACE."})
public final class CubeServer implements Callable<Integer> {
    private static final int FAILED = 1;

    static final class VersionText implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {"cube-server " + Version.TEXT};
        }
    }

    @Mixin
    private ServerOptions options;

    private CubeServer() {}

    @Override
    public Integer call() throws InterruptedException {
        RunningServer server;
        try {
            server = RunningServer.start(options.toConfig());
        } catch (StartupException e) {
            System.err.println("cube-server: " + e.getMessage());
            return FAILED;
        }
        Runtime.getRuntime().addShutdownHook(new Thread(server::close, "shutdown"));
        server.awaitStopRequest();
        return 0;
    }

    public static void main(String[] arguments) {
        System.exit(new CommandLine(new CubeServer()).execute(arguments));
    }
}
