package dev.cube.guest;

import java.util.Optional;

/**
 * Something that happened in a watched directory.
 *
 * @param name  of the entry below the watched directory, {@code .} for the directory itself
 * @param entry what is there, if it was asked for and is still there; never of a {@code REMOVE} or {@code RENAME}
 */
public record FileEvent(Type type, String name, Optional<FileInfo> entry) {
    /** A {@code RENAME} is of the old name; the new one is a {@code CREATE}. */
    public enum Type { CREATE, WRITE, REMOVE, RENAME, CHMOD }
}
