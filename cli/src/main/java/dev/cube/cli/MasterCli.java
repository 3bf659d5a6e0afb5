package dev.cube.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;

/** {@code cubemastercli}: templates, sandboxes, snapshots and API keys from the command line. */
@Command(name = "cubemastercli", mixinStandardHelpOptions = true, versionProvider = Version.class,
        description = "Manages the templates, sandboxes, snapshots and API keys of a Cube.",
        footer = {"", "The server is named by E2B_API_URL and E2B_API_KEY; ./cube env prints them."},
        subcommands = {TplCommand.class, ListCommand.class, InfoCommand.class, DestroyCommand.class,
                SnapshotCommand.class, ApiKeyCommand.class})
public final class MasterCli {
    private MasterCli() {}

    public static void main(String[] args) {
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return Errors.oneLine(new CommandLine(new MasterCli())
                .registerConverter(Size.class, Size::parse)
                .setCaseInsensitiveEnumValuesAllowed(true));
    }
}
