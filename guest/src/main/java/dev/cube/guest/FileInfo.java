package dev.cube.guest;

import java.time.Instant;
import java.util.Optional;

/**
 * A file in the guest, not following a symbolic link at its end.
 *
 * @param path          absolute
 * @param name          last part of the path
 * @param size          in bytes
 * @param mode          permission bits with set-user-ID, set-group-ID and sticky: 07777
 * @param owner         user name, or the number where there is no name
 * @param symlinkTarget where a symbolic link points, as written in it
 */
public record FileInfo(String path, String name, Type type, long size, int mode, String owner, String group,
        Instant modified, Optional<String> symlinkTarget) {

    public enum Type { FILE, DIRECTORY, SYMLINK, OTHER }
}
