package dev.cube.envd.daemon;

import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A server over a guest that is played. */
abstract class EnvdFixture {
    @TempDir
    Path root;
    FakeGuest guest;
    EnvdServer server;

    @BeforeEach
    void startServer() throws Exception {
        guest = new FakeGuest(root);
        server = new EnvdServer(guest, Optional.empty());
    }

    @AfterEach
    void stopServer() {
        server.close();
    }

    /** Goes on with a server that wants this token. */
    void secure(String token) {
        server.close();
        server = new EnvdServer(guest, Optional.of(token));
    }
}
