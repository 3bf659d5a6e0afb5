package dev.cube.envd.files;

import dev.cube.envd.user.GuestPaths;
import dev.cube.guest.FileInfo;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Follows symbolic links in the guest, asking about every part of a path once. For one call, as what it remembers goes
 * stale.
 */
final class LinkResolver {
    /** As many as Go's {@code filepath.EvalSymlinks}, which envd uses, follows. */
    private static final int LIMIT = 255;

    private final GuestAgent agent;
    private final Map<String, Optional<FileInfo>> known = new HashMap<>();

    LinkResolver(GuestAgent agent) {
        this.agent = agent;
    }

    /** Thrown where links lead in a circle, or through too many. */
    static final class TooManyLinks extends Exception {
        TooManyLinks(String path) {
            super("cyclic symlink or chain >255 links at \"" + path + "\"", null, false, false);
        }
    }

    /** The file that a path leads to, by a path without links; empty if there is none. */
    Optional<FileInfo> resolve(String path) throws TooManyLinks {
        var left = new ArrayDeque<>(Arrays.asList(path.split("/")));
        String reached = "/";
        int links = 0;
        while (!left.isEmpty()) {
            String part = left.poll();
            if (part.isEmpty() || part.equals(".")) {
                continue;
            }
            String next = GuestPaths.join(reached, part);
            Optional<FileInfo> found = part.equals("..") ? Optional.empty() : stat(next);
            if (part.equals("..")) {
                reached = next;
            } else if (found.isEmpty()) {
                return Optional.empty();
            } else if (found.get().type() == FileInfo.Type.SYMLINK) {
                if (++links > LIMIT) {
                    throw new TooManyLinks(path);
                }
                String target = found.get().symlinkTarget().orElse("");
                if (target.startsWith("/")) {
                    reached = "/";
                }
                String[] parts = target.split("/");
                for (int i = parts.length - 1; i >= 0; i--) {
                    left.addFirst(parts[i]);
                }
            } else {
                reached = next;
            }
        }
        return stat(reached);
    }

    private Optional<FileInfo> stat(String path) {
        Optional<FileInfo> answer = known.get(path);
        if (answer == null) {
            answer = ask(path);
            known.put(path, answer);
        }
        return answer;
    }

    private Optional<FileInfo> ask(String path) {
        try {
            return Optional.of(agent.stat(path));
        } catch (GuestException e) {
            if (e.kind() == GuestException.Kind.NOT_FOUND || e.kind() == GuestException.Kind.NOT_A_DIRECTORY) {
                return Optional.empty();
            }
            throw e;
        }
    }
}
