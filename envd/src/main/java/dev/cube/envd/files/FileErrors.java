package dev.cube.envd.files;

import dev.cube.envd.SandboxTarget;
import dev.cube.envd.user.Users;
import dev.cube.guest.GuestException;
import dev.cube.http.HttpError;
import java.util.Optional;

/** What the {@code /files} routes answer to the guest's refusals, in envd's words. */
final class FileErrors {
    private FileErrors() {}

    static HttpError of(GuestException failure, String what) {
        int status = switch (failure.kind()) {
            case NO_SPACE -> 507;
            case DISCONNECTED -> 502;
            default -> 500;
        };
        return new HttpError(status, what + ": " + failure.getMessage());
    }

    /** A user's name from a request; none stands for the default user, but an empty one for nobody. */
    static Optional<String> username(String given) {
        if (given != null && given.isEmpty()) {
            throw unknownUser(given);
        }
        return Optional.ofNullable(given);
    }

    static HttpError unknownUser(String username) {
        return new HttpError(401,
                "error looking up user '" + username + "': user: unknown user " + username);
    }

    static void checkUser(SandboxTarget target, String username) {
        try {
            target.agent().user(username);
        } catch (GuestException e) {
            throw e.kind() == GuestException.Kind.UNKNOWN_USER
                    ? unknownUser(username) : of(e, "error looking up user '" + username + "'");
        }
    }

    /** The absolute path that a request means. */
    static String resolve(SandboxTarget target, Optional<String> username, String path) {
        try {
            return Users.resolve(target.agent(), username, path);
        } catch (IllegalArgumentException e) {
            throw new HttpError(400, "error expanding and resolving path '" + path + "': " + e.getMessage());
        } catch (GuestException e) {
            String name = username.orElse(Users.DEFAULT);
            throw e.kind() == GuestException.Kind.UNKNOWN_USER
                    ? unknownUser(name) : of(e, "error looking up user '" + name + "'");
        }
    }
}
