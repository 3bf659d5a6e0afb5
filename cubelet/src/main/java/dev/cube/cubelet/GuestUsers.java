package dev.cube.cubelet;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestFileReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** Finds the user that an image's configuration means, which is {@code user[:group]} or {@code uid[:gid]}. */
final class GuestUsers {
    private static final int MAX_PASSWD_BYTES = 1 << 20;

    private GuestUsers() {}

    /** The user's name; the group is the user's own. */
    static String nameOf(GuestAgent agent, String configured) {
        String user = configured.split(":", 2)[0];
        if (user.isEmpty()) {
            return "root";
        }
        return user.chars().allMatch(Character::isDigit) ? nameOf(agent, Long.parseLong(user)) : user;
    }

    private static String nameOf(GuestAgent agent, long uid) {
        try (GuestFileReader passwd = agent.read("/etc/passwd")) {
            String text = new String(passwd.input().readNBytes(MAX_PASSWD_BYTES), StandardCharsets.UTF_8);
            return text.lines().map(line -> line.split(":", -1))
                    .filter(fields -> fields.length > 2 && fields[2].equals(Long.toString(uid)))
                    .map(fields -> fields[0]).findFirst()
                    .orElseThrow(() -> new SandboxException(SandboxException.Kind.FAILED,
                            "The image wants its command to run as user %d, who is not in its /etc/passwd"
                                    .formatted(uid)));
        } catch (IOException e) {
            throw new GuestException(GuestException.Kind.INTERNAL, "/etc/passwd cannot be read: " + e.getMessage(), e);
        }
    }
}
