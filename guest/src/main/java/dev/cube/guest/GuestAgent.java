package dev.cube.guest;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletionStage;

/**
 * The host's end of the conversation with a guest's agent: one connection, many channels. All calls block (call from
 * virtual threads), throw {@link GuestException}, and are thread-safe. Every byte from the guest is taken as hostile: a
 * guest that breaks the protocol is cut off, which {@link #closed} reports.
 *
 * <p>Paths are absolute. File operations are done as root, as E2B's envd does them; new files belong to the user named.
 * The empty name stands for the image's default user: {@code user}, or {@code root} where there is no such user.
 */
public interface GuestAgent extends AutoCloseable {
    GuestProcess start(ProcessSpec spec);

    /** Attaches to a process that the agent started; output from now on. Ends an earlier holder's hold. */
    GuestProcess attach(int pid);

    List<ProcessInfo> processes();

    /** Signals the process group of a process that the agent started, without attaching to it. */
    void signal(int pid, int number);

    /** Looks up a user of the image; kind {@code UNKNOWN_USER} if there is none. */
    GuestUser user(String name);

    FileInfo stat(String path);

    /**
     * The entries of a directory, down to {@code depth} levels (1: only its own; more than 256 are as 256), in the order
     * of their names, each directory before its content.
     */
    List<FileInfo> list(String path, int depth);

    /** Makes a directory and its missing parents, owned by {@code user}. {@code ALREADY_EXISTS} if it is there. */
    FileInfo makeDirectory(String path, String user);

    FileInfo move(String from, String to, String user);

    /** Removes a file, or a directory with all in it; {@code NOT_FOUND} if there is nothing. */
    void remove(String path);

    GuestFileReader read(String path);

    /**
     * Creates or replaces a file, and its missing parent directories, owned by {@code user}.
     *
     * @param metadata takes the place of what the file had
     */
    GuestFileWriter write(String path, String user, Optional<Integer> mode, Map<String, String> metadata);

    /** As above, without metadata. */
    default GuestFileWriter write(String path, String user, Optional<Integer> mode) {
        return write(path, user, mode, Map.of());
    }

    /** Makes one file of several, in their order, owned by {@code user}, and removes them. */
    FileInfo compose(List<String> sources, String destination, String user);

    /**
     * Watches a directory, from before this returns. {@code NOT_A_DIRECTORY} if it is none; {@code INTERNAL} if there is
     * more to watch than the guest's kernel or its agent (16 384 directories) can.
     */
    GuestWatcher watch(String path, Set<GuestWatcher.Option> options);

    /** Connects to a TCP port on the guest's localhost (IPv4, then IPv6); {@code CONNECTION_REFUSED} if none listens. */
    GuestStream connect(int port);

    GuestMetrics metrics();

    /** Sets the guest's wall clock, which has stood still while its VM did. Returns before the guest has done so. */
    void setClock();

    /** Completes when the connection is lost or closed, or the guest is cut off. */
    CompletionStage<Disconnection> closed();

    @Override
    void close();
}
