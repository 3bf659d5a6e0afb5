package dev.cube.server;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** The server's state directory, locked for this process until it is closed or the process ends. */
final class Home implements AutoCloseable {
    private final Path directory;
    private final FileChannel lock;

    private Home(Path directory, FileChannel lock) {
        this.directory = directory;
        this.lock = lock;
    }

    static Home open(Path directory) {
        FileChannel channel;
        try {
            Files.createDirectories(directory);
            channel = FileChannel.open(directory.resolve("server.lock"), StandardOpenOption.CREATE,
                    StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw new StartupException("the directory %s cannot be written (%s): name another with --home or CUBE_HOME"
                    .formatted(directory, e), e);
        }
        try {
            if (channel.tryLock() != null) {
                return new Home(directory, channel);
            }
            channel.close();
        } catch (OverlappingFileLockException | IOException e) {
            closeQuietly(channel, e);
        }
        throw new StartupException("a server is running on %s: stop it, or name another directory with --home or "
                .formatted(directory) + "CUBE_HOME");
    }

    private static void closeQuietly(FileChannel channel, Exception cause) {
        try {
            channel.close();
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }

    Path directory() {
        return directory;
    }

    Path resolve(String name) {
        return directory.resolve(name);
    }

    /** Gives the lock up. The file stays: removing it would let two servers lock two files of one name. */
    @Override
    public void close() throws IOException {
        lock.close();
    }
}
