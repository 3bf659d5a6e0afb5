package dev.cube.master;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.master.ApiKeys.NewKey;
import dev.cube.master.MasterException.Kind;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class StoredApiKeysTest extends MasterTest {
    @Test
    void aKeyIsValidUntilItIsDeleted() {
        NewKey first = master.apiKeys().create("laptop");
        NewKey second = master.apiKeys().create("laptop");
        assertThat(first.key()).matches("e2b_[0-9a-f]{40}").startsWith(first.info().hint());
        assertThat(master.apiKeys().valid(first.key())).isTrue();
        assertThat(master.apiKeys().valid("e2b_0")).isFalse();
        assertThat(master.apiKeys().list()).containsExactlyInAnyOrder(first.info(), second.info());

        restart();
        assertThat(master.apiKeys().valid(first.key())).isTrue();
        master.apiKeys().delete(first.info().id());
        assertThat(master.apiKeys().valid(first.key())).isFalse();
        restart();
        assertThat(master.apiKeys().valid(first.key())).isFalse();
        assertThat(master.apiKeys().valid(second.key())).isTrue();
    }

    @Test
    void onlyTheHashIsKept() throws IOException {
        String key = master.apiKeys().create("laptop").key();
        try (Stream<Path> files = Files.list(home)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                assertThat(Files.readString(file, StandardCharsets.ISO_8859_1)).doesNotContain(key);
                assertThat(Files.getPosixFilePermissions(file)).containsExactlyInAnyOrder(
                        PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_WRITE);
            }
        }
    }

    @Test
    void refusesNamelessAndUnknownKeys() {
        assertRefused(Kind.INVALID, "name", () -> master.apiKeys().create(" "));
        assertRefused(Kind.NOT_FOUND, "no API key 'x'", () -> master.apiKeys().delete("x"));
    }
}
