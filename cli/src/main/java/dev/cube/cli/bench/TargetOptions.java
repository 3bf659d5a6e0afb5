package dev.cube.cli.bench;

import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.SandboxOptions;
import java.time.Duration;
import java.util.Map;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** What is measured. */
final class TargetOptions {
    /** Long enough for any measurement; what a killed benchmark leaves behind ends by itself. */
    private static final Duration SANDBOX_TIMEOUT = Duration.ofMinutes(30);

    @Option(names = {"-t", "--template"}, paramLabel = "TEMPLATE", defaultValue = "${env:CUBE_TEMPLATE_ID}",
            description = "ID or name of the template (default: CUBE_TEMPLATE_ID)")
    private String template;

    @Option(names = "--no-tui", description = "plain lines instead of a progress line that is drawn over")
    private boolean plain;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    Target target() {
        if (template == null || template.isBlank()) {
            throw new ParameterException(command.commandLine(),
                    "no template: set CUBE_TEMPLATE_ID (./cube env prints it) or give --template");
        }
        SandboxOptions options = SandboxOptions.of(template)
                .withTimeout(SANDBOX_TIMEOUT)
                .withMetadata(Map.of("made-by", "cube-bench"));
        return new Target(new CubeClient(CubeConfig.fromEnvironment()), options, command.commandLine().getErr(), plain);
    }
}
