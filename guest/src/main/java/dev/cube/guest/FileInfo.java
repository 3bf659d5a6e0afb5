package dev.cube.guest;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * A file in the guest, not following a symbolic link at its end.
 *
 * @param path     absolute
 * @param name     last part of the path
 * @param size     in bytes
 * @param mode     permission bits with set-user-ID, set-group-ID and sticky: 07777
 * @param owner    user name, or the number where there is no name
 * @param link     of a symbolic link
 * @param metadata that clients gave the file, or what the link leads to; kept as its {@code user.e2b.*} attributes
 */
public record FileInfo(String path, String name, Type type, long size, int mode, String owner, String group,
        Instant modified, Optional<Link> link, Map<String, String> metadata) {

    public enum Type { FILE, DIRECTORY, SYMLINK, OTHER }

    /**
     * Where a symbolic link points.
     *
     * @param text     as written in it
     * @param target   what it leads to, over all links; empty if there is nothing
     * @param circular whether links lead in a circle, or through too many
     */
    public record Link(String text, Optional<Target> target, boolean circular) {}

    /**
     * The end of a symbolic link.
     *
     * @param path without links
     * @param mode as a file's
     */
    public record Target(String path, Type type, int mode) {}
}
