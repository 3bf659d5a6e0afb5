package dev.cube.envd.daemon;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestFileReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;

/** The variables that every process of a sandbox gets. The guest has them in a file, see docs/guest-protocol.md. */
final class SandboxEnvironment {
    private static final String FILE = "/run/cube/environment";
    /** As much as a request to the guest can set. */
    private static final int BYTES_AT_MOST = 4 << 20;

    private SandboxEnvironment() {}

    static Map<String, String> of(GuestAgent agent) {
        String text;
        try (GuestFileReader file = agent.read(FILE)) {
            text = new String(file.input().readNBytes(BYTES_AT_MOST), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new GuestException(GuestException.Kind.DISCONNECTED, e.getMessage(), e);
        }
        var variables = new TreeMap<String, String>();
        for (String variable : text.split("\0")) {
            int equals = variable.indexOf('=');
            if (equals > 0) {
                variables.put(variable.substring(0, equals), variable.substring(equals + 1));
            }
        }
        return variables;
    }
}
