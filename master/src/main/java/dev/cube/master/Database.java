package dev.cube.master;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Function;
import org.flywaydb.core.Flyway;
import org.flywaydb.core.api.FlywayException;
import org.jdbi.v3.core.Handle;
import org.jdbi.v3.core.Jdbi;
import org.jdbi.v3.core.JdbiException;
import org.sqlite.SQLiteConfig;
import org.sqlite.SQLiteDataSource;

/**
 * The server's SQLite database. One connection, used by one thread at a time: SQLite has one writer anyway, and the
 * statements here take tens of microseconds.
 *
 * <p>Write-ahead log with {@code synchronous=NORMAL}: a commit survives the server's death, at no fsync. The last
 * commits before a power failure may be lost; the VMs that they speak of are lost with them. What refers to files that
 * survive is committed with {@link #writeDurably}. The log is emptied by {@link Checkpoints}.
 */
final class Database implements AutoCloseable {
    private static final int BUSY_TIMEOUT_MILLIS = 5_000;

    private final ReentrantLock lock = new ReentrantLock();
    private final Handle handle;
    private final Checkpoints checkpoints;

    private Database(Jdbi jdbi) {
        handle = jdbi.open();
        handle.execute("PRAGMA wal_autocheckpoint=0");
        checkpoints = new Checkpoints(jdbi);
    }

    /** Opens or creates the database, readable by its owner only, and brings its schema up to date. */
    static Database open(Path file) {
        try {
            createPrivately(file);
            SQLiteDataSource source = new SQLiteDataSource(config());
            source.setUrl("jdbc:sqlite:" + file);
            Flyway.configure(Database.class.getClassLoader()).dataSource(source)
                    .locations("classpath:db/migration").load().migrate();
            return new Database(Jdbi.create(source));
        } catch (IOException | FlywayException | JdbiException e) {
            throw new MasterException(MasterException.Kind.FAILED,
                    "The database %s cannot be opened: %s".formatted(file, e.getMessage()), e);
        }
    }

    private static SQLiteConfig config() {
        SQLiteConfig config = new SQLiteConfig();
        config.setJournalMode(SQLiteConfig.JournalMode.WAL);
        config.setSynchronous(SQLiteConfig.SynchronousMode.NORMAL);
        config.setBusyTimeout(BUSY_TIMEOUT_MILLIS);
        config.enforceForeignKeys(true);
        return config;
    }

    private static void createPrivately(Path file) throws IOException {
        try {
            Files.createFile(file,
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        } catch (FileAlreadyExistsException e) {
            // An earlier server's.
        }
    }

    <T> T read(Function<Handle, T> query) {
        lock.lock();
        try {
            return query.apply(handle);
        } catch (JdbiException e) {
            throw failed("read", e);
        } finally {
            lock.unlock();
        }
    }

    /** One transaction. */
    void write(Consumer<Handle> statements) {
        lock.lock();
        try {
            handle.useTransaction(statements::accept);
            checkpoints.committed();
        } catch (JdbiException e) {
            throw failed("written", e);
        } finally {
            lock.unlock();
        }
    }

    /** One transaction, on disk when this returns. */
    void writeDurably(Consumer<Handle> statements) {
        lock.lock();
        try {
            handle.execute("PRAGMA synchronous=FULL");
            try {
                handle.useTransaction(statements::accept);
                checkpoints.committed();
            } finally {
                handle.execute("PRAGMA synchronous=NORMAL");
            }
        } catch (JdbiException e) {
            throw failed("written", e);
        } finally {
            lock.unlock();
        }
    }

    private static MasterException failed(String what, JdbiException cause) {
        return new MasterException(MasterException.Kind.FAILED,
                "The database could not be %s: %s".formatted(what, cause.getMessage()), cause);
    }

    @Override
    public void close() {
        checkpoints.close();
        lock.lock();
        try {
            handle.close();
        } finally {
            lock.unlock();
        }
    }
}
