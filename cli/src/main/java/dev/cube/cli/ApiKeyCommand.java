package dev.cube.cli;

import dev.cube.sdk.ApiKeyInfo;
import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(name = "apikey", mixinStandardHelpOptions = true, synopsisSubcommandLabel = "COMMAND",
        description = "API keys; a server that listens beyond loopback requires one.")
final class ApiKeyCommand {
    @Command(name = "create", mixinStandardHelpOptions = true,
            description = "Makes a key and prints it, the only time that it can be seen.")
    int create(@Parameters(paramLabel = "NAME", description = "what the key is for") String name,
            @Mixin Output output) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            ApiKeyInfo created = client.apiKeys().create(name);
            output.print(created, Table.ofFields().row(created.key()));
            return 0;
        }
    }

    @Command(name = "list", mixinStandardHelpOptions = true, description = "Lists the keys.")
    int list(@Mixin Output output) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            List<ApiKeyInfo> keys = client.apiKeys().list();
            Table table = Table.of("ID", "NAME", "KEY", "CREATED");
            keys.forEach(key -> table.row(key.id(), key.name(), key.hint(), Times.exact(key.createdAt())));
            output.print(keys, table);
            return 0;
        }
    }

    @Command(name = "delete", mixinStandardHelpOptions = true, description = "Deletes a key, which no longer works.")
    int delete(@Parameters(paramLabel = "ID", description = "ID of the key") String id) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            client.apiKeys().delete(id);
            return 0;
        }
    }
}
