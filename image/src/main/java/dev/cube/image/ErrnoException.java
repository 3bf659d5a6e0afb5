package dev.cube.image;

import java.io.IOException;

/** A system call failed; carries its {@code errno}. */
final class ErrnoException extends IOException {
    private final int errno;

    ErrnoException(String call, String path, int errno, String text) {
        super("%s: %s (%s)".formatted(RawName.display(path), text, call));
        this.errno = errno;
    }

    int errno() {
        return errno;
    }
}
