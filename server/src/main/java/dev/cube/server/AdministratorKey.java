package dev.cube.server;

import dev.cube.master.ApiKeys;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/**
 * The API key of whoever owns the home directory, in the file {@code api-key} there. A server that requires keys makes
 * it, since otherwise nobody could make the first one.
 */
final class AdministratorKey {
    private static final String NAME = "administrator of the server";

    private AdministratorKey() {}

    /** Makes the key unless the file holds a valid one. */
    static Path ensure(Home home, ApiKeys keys) throws IOException {
        Path file = home.resolve("api-key");
        if (Files.exists(file) && keys.valid(Files.readString(file).strip())) {
            return file;
        }
        Files.deleteIfExists(file);
        try (var channel = Files.newByteChannel(file, Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
            channel.write(StandardCharsets.US_ASCII.encode(keys.create(NAME).key() + "\n"));
        }
        return file;
    }
}
