package dev.cube.image;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * A directory tree in the making, seen as if its top were the root directory: whatever symbolic links are in it, no
 * operation touches anything outside. A directory that is removed is moved, whole, to a trash directory on the same
 * file system. For one thread. Paths are {@linkplain RawName raw}, relative to the root, without {@code .} and
 * {@code ..}; the empty path is the root.
 */
final class RootedTree implements AutoCloseable {
    /** A directory of the tree; open until another one is asked for. */
    record Directory(int fd, long inode) {}

    private static final int DEFAULT_DIRECTORY_MODE = 0755;

    private final int root;
    private final int trash;
    private int trashed;
    private String openPath;
    private Directory open;

    RootedTree(Path root, Path trash) throws ErrnoException {
        this.root = Posix.openDirectory(RawName.of(root));
        try {
            this.trash = Posix.openDirectory(RawName.of(trash));
        } catch (ErrnoException e) {
            Posix.close(this.root);
            throw e;
        }
    }

    /** Opens a directory, making it and its parents where they are missing. */
    Directory directory(String path) throws ErrnoException {
        if (path.equals(openPath)) {
            return open;
        }
        int fd = openOrMake(path);
        forget();
        try {
            open = new Directory(fd, Posix.status(fd, "").inode());
            openPath = path;
            return open;
        } finally {
            if (open == null) {
                Posix.close(fd);
            }
        }
    }

    /** Opens a directory if there is one. */
    Optional<Directory> existingDirectory(String path) throws ErrnoException {
        try {
            Posix.close(openPathOnly(path));
        } catch (ErrnoException e) {
            if (e.errno() == Posix.ENOENT || e.errno() == Posix.ENOTDIR) {
                return Optional.empty();
            }
            throw e;
        }
        return Optional.of(directory(path));
    }

    Optional<Posix.Status> status(Directory directory, String name) throws ErrnoException {
        try {
            return Optional.of(Posix.status(directory.fd(), name));
        } catch (ErrnoException e) {
            if (e.errno() == Posix.ENOENT) {
                return Optional.empty();
            }
            throw e;
        }
    }

    List<String> list(String path) throws ErrnoException {
        int fd = Posix.openInRoot(root, path.isEmpty() ? "." : path,
                Posix.O_RDONLY | Posix.O_DIRECTORY | Posix.O_CLOEXEC);
        try {
            return Posix.list(fd, path);
        } finally {
            Posix.close(fd);
        }
    }

    /** Removes what is there. The directory given stays open only if that was not a directory. */
    void remove(Directory directory, String name, Posix.Status status) throws ErrnoException {
        if (status.isDirectory()) {
            Posix.rename(directory.fd(), name, trash, Integer.toString(trashed++));
            // The directory that is open may have been below the one removed, and a path may lead elsewhere now.
            openPath = null;
        } else {
            Posix.unlink(directory.fd(), name);
        }
    }

    /** Makes a file with the content given; it must not exist. */
    void makeFile(Directory directory, String name, Content content) throws IOException {
        int fd = Posix.openAt(directory.fd(), name,
                Posix.O_WRONLY | Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW | Posix.O_CLOEXEC, 0600);
        try {
            content.writeTo(new Content.Target() {
                @Override
                public void write(MemorySegment data, long offset) throws ErrnoException {
                    Posix.write(fd, data, offset, name);
                }

                @Override
                public void setSize(long size) throws ErrnoException {
                    Posix.truncate(fd, size, name);
                }
            });
        } finally {
            Posix.close(fd);
        }
    }

    /** What goes into a file. */
    @FunctionalInterface
    interface Content {
        void writeTo(Target target) throws IOException;

        /** An open file. */
        interface Target {
            void write(MemorySegment data, long offset) throws ErrnoException;

            /** Cuts, or extends by a hole. */
            void setSize(long size) throws ErrnoException;
        }
    }

    /** Like {@link #directory}, without taking the place of the open one; for the caller to close. */
    int openSeparately(String path) throws ErrnoException {
        return openOrMake(path);
    }

    private int openOrMake(String path) throws ErrnoException {
        try {
            return openPathOnly(path);
        } catch (ErrnoException e) {
            if (e.errno() != Posix.ENOENT || path.isEmpty()) {
                throw e;
            }
        }
        int slash = path.lastIndexOf('/');
        String name = path.substring(slash + 1);
        int parent = openOrMake(slash < 0 ? "" : path.substring(0, slash));
        try {
            Posix.makeDirectory(parent, name, DEFAULT_DIRECTORY_MODE);
            Posix.changeMode(parent, name, DEFAULT_DIRECTORY_MODE);
            Posix.changeTime(parent, name, TarEntry.Time.EPOCH);
        } catch (ErrnoException e) {
            if (e.errno() == Posix.EEXIST) {
                throw new ImageException("'%s' in the image is a dangling symbolic link, but files are to go below it"
                        .formatted(RawName.display(path)), e);
            }
            throw e;
        } finally {
            Posix.close(parent);
        }
        return openPathOnly(path);
    }

    private int openPathOnly(String path) throws ErrnoException {
        return Posix.openInRoot(root, path.isEmpty() ? "." : path,
                Posix.O_PATH | Posix.O_DIRECTORY | Posix.O_CLOEXEC);
    }

    private void forget() {
        if (open != null) {
            Posix.close(open.fd());
            open = null;
            openPath = null;
        }
    }

    @Override
    public void close() {
        forget();
        Posix.close(trash);
        Posix.close(root);
    }
}
