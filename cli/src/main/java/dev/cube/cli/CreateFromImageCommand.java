package dev.cube.cli;

import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.TemplateInfo;
import dev.cube.sdk.TemplateRequest;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

@Command(name = "create-from-image", mixinStandardHelpOptions = true, sortOptions = false,
        description = "Makes a template from an OCI image, and follows the job until it is ready.")
final class CreateFromImageCommand implements Callable<Integer> {
    /** The server reads image files, from its own working directory: it is given absolute paths. */
    private static final Pattern LOCAL_IMAGE = Pattern.compile("(oci|oci-archive|docker-archive):(.+)");

    @Option(names = "--image", required = true, paramLabel = "IMAGE",
            description = "registry/repo:tag, oci:DIR[:TAG], oci-archive:FILE or docker-archive:FILE")
    private String image;

    @Option(names = "--writable-layer-size", paramLabel = "SIZE", defaultValue = "1G",
            description = "writable disk of each sandbox (default: ${DEFAULT-VALUE})")
    private Size writableLayer;

    @Option(names = "--expose-port", paramLabel = "PORT", description = "port that is served; may be given again")
    private List<Integer> exposedPorts = List.of();

    @Option(names = "--probe", paramLabel = "PORT",
            description = "port that must answer before the template is captured")
    private Integer probePort;

    @Option(names = "--cpu", paramLabel = "N", defaultValue = "2", description = "vCPUs (default: ${DEFAULT-VALUE})")
    private int cpuCount;

    @Option(names = "--memory", paramLabel = "SIZE", defaultValue = "2G",
            description = "memory (default: ${DEFAULT-VALUE})")
    private Size memory;

    @Option(names = "--name", paramLabel = "NAME",
            description = "name that it can also be asked for by; may be given again")
    private List<String> names = List.of();

    @Option(names = "--no-wait", description = "print the template's ID and return; the job goes on")
    private boolean noWait;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        PrintWriter out = spec.commandLine().getOut();
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            TemplateInfo created = client.templates().create(new TemplateRequest(absolute(image), cpuCount,
                    memory.mebibytes(), writableLayer.mebibytes(), exposedPorts, probePort, names));
            out.println(created.id());
            out.flush();
            return noWait ? 0 : TplCommand.watch(client, created.id(), out, spec.commandLine().getErr());
        }
    }

    static String absolute(String image) {
        Matcher matcher = LOCAL_IMAGE.matcher(image);
        return matcher.matches()
                ? matcher.group(1) + ":" + Path.of(matcher.group(2)).toAbsolutePath().normalize()
                : image;
    }
}
