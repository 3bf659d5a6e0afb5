package dev.cube.envd.user;

import dev.cube.envd.connect.Call;
import dev.cube.envd.connect.Code;
import dev.cube.envd.connect.ConnectException;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestUser;
import java.util.Optional;
import java.util.function.Function;

/** The user of the image in whose name a call is made, and what paths mean to that user. */
public final class Users {
    /** Who acts where a client names nobody is the image's choice, see {@link GuestAgent}. */
    public static final String DEFAULT = "";

    private Users() {}

    /** The user that a call names, to whom no name means {@link #DEFAULT}. */
    public static String name(Call call) {
        String name = call.username().orElse(DEFAULT);
        if (call.username().isPresent() && name.isEmpty()) {
            throw unknown(call);
        }
        return name;
    }

    /** The user's entry; {@code UNAUTHENTICATED} if the image has none. */
    public static GuestUser of(Call call) {
        try {
            return call.target().agent().user(name(call));
        } catch (GuestException e) {
            throw translate(e, call);
        }
    }

    /** What a call fails with where the guest refused it, in envd's words if it is for its user. */
    public static RuntimeException translate(GuestException failure, Call call) {
        return failure.kind() == GuestException.Kind.UNKNOWN_USER ? unknown(call) : failure;
    }

    private static ConnectException unknown(Call call) {
        return new ConnectException(Code.UNAUTHENTICATED, call.username()
                .map(name -> "invalid username: '" + name + "'").orElse("invalid default user"));
    }

    /** The absolute path that a caller means; {@code INVALID_ARGUMENT} if it cannot be known. */
    public static String resolve(Call call, String path) {
        try {
            return resolve(path, name(call), unused -> of(call));
        } catch (IllegalArgumentException e) {
            throw new ConnectException(Code.INVALID_ARGUMENT, e.getMessage());
        }
    }

    /** As {@link #resolve(Call, String)}, and {@code UNAUTHENTICATED} if the call names a user that the image has not. */
    public static String resolveForUser(Call call, String path) {
        if (call.username().isPresent()) {
            of(call);
        }
        return resolve(call, path);
    }

    /** As {@link #resolve(Call, String)}, with {@link IllegalArgumentException}, and the guest's own errors. */
    public static String resolve(GuestAgent agent, Optional<String> username, String path) {
        return resolve(path, username.orElse(DEFAULT), agent::user);
    }

    /** Absolute paths stay as they are; {@code ~} and relative ones are the home directory's. */
    private static String resolve(String path, String username, Function<String, GuestUser> users) {
        if (path.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("the path has a NUL in it");
        }
        if (path.startsWith("/")) {
            return path;
        }
        boolean tilde = path.startsWith("~");
        if (tilde && path.length() > 1 && path.charAt(1) != '/') {
            throw new IllegalArgumentException("failed to expand path '" + path + "' for user '" + username
                    + "': cannot expand user-specific home dir");
        }
        return GuestPaths.join(users.apply(username).home(), tilde ? path.substring(1) : path);
    }
}
