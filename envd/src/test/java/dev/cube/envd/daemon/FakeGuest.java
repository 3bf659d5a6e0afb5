package dev.cube.envd.daemon;

import dev.cube.envd.user.GuestPaths;
import dev.cube.guest.Disconnection;
import dev.cube.guest.FileInfo;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestFileReader;
import dev.cube.guest.GuestFileWriter;
import dev.cube.guest.GuestMetrics;
import dev.cube.guest.GuestProcess;
import dev.cube.guest.GuestStream;
import dev.cube.guest.GuestUser;
import dev.cube.guest.GuestWatcher;
import dev.cube.guest.ProcessInfo;
import dev.cube.guest.ProcessSpec;
import dev.cube.guest.GuestException.Kind;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** A guest whose files are below a directory of the host, and whose processes do what a test says. */
final class FakeGuest implements GuestAgent {
    final Path root;
    final LinkedBlockingQueue<ScriptedProcess> started = new LinkedBlockingQueue<>();
    final Map<Integer, ScriptedProcess> processes = new ConcurrentHashMap<>();
    final List<String> owners = new ArrayList<>();
    final AtomicInteger attached = new AtomicInteger();
    final LinkedBlockingQueue<ScriptedWatcher> watchers = new LinkedBlockingQueue<>();
    private final Map<String, Map<String, String>> metadata = new ConcurrentHashMap<>();
    private final AtomicInteger pids = new AtomicInteger(100);
    private final Map<String, GuestUser> users = Map.of(
            "", new GuestUser("user", 1000, 1000, "/home/user", "/bin/bash"),
            "user", new GuestUser("user", 1000, 1000, "/home/user", "/bin/bash"),
            "root", new GuestUser("root", 0, 0, "/root", "/bin/bash"));

    FakeGuest(Path root) throws IOException {
        this.root = root;
        Files.createDirectories(root.resolve("home/user"));
        Files.createDirectories(root.resolve("root"));
    }

    ScriptedProcess nextStarted() throws InterruptedException {
        ScriptedProcess process = started.poll(30, TimeUnit.SECONDS);
        if (process == null) {
            throw new AssertionError("no process was started");
        }
        return process;
    }

    Path host(String path) {
        return root.resolve(path.substring(1)).normalize();
    }

    @Override
    public GuestProcess start(ProcessSpec spec) {
        user(spec.user());
        spec.cwd().ifPresent(this::stat);
        var process = new ScriptedProcess(pids.incrementAndGet(), spec);
        processes.put(process.pid, process);
        started.add(process);
        return process;
    }

    @Override
    public GuestProcess attach(int pid) {
        attached.incrementAndGet();
        return Optional.ofNullable(processes.get(pid)).orElseThrow(() -> new GuestException(Kind.NOT_FOUND, "no process"));
    }

    @Override
    public List<ProcessInfo> processes() {
        return processes.values().stream().map(process -> new ProcessInfo(process.pid, process.spec.command(),
                process.spec.args(), process.spec.environment(), process.spec.cwd(), process.spec.tag(),
                process.spec.pty().isPresent(), process.spec.stdin())).toList();
    }

    @Override
    public void signal(int pid, int number) {
        Optional.ofNullable(processes.get(pid)).orElseThrow(() -> new GuestException(Kind.NOT_FOUND, "no process"))
                .signal(number);
    }

    @Override
    public GuestUser user(String name) {
        return Optional.ofNullable(users.get(name))
                .orElseThrow(() -> new GuestException(Kind.UNKNOWN_USER, "no user " + name));
    }

    @Override
    public FileInfo stat(String path) {
        Path file = host(path);
        try {
            Map<String, Object> all = Files.readAttributes(file, "unix:*", LinkOption.NOFOLLOW_LINKS);
            boolean link = Files.isSymbolicLink(file);
            FileInfo.Type type = link ? FileInfo.Type.SYMLINK : Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS)
                    ? FileInfo.Type.DIRECTORY : Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
                    ? FileInfo.Type.FILE : FileInfo.Type.OTHER;
            return new FileInfo(path, path.equals("/") ? "/" : file.getFileName().toString(), type,
                    (Long) all.get("size"), (Integer) all.get("mode") & 07777, "user", "user",
                    Instant.ofEpochSecond(1_700_000_000, 5), link ? Optional.of(link(path)) : Optional.empty(),
                    metadata.getOrDefault(path, Map.of()));
        } catch (IOException e) {
            throw new GuestException(Kind.NOT_FOUND, "no such file: " + path);
        }
    }

    private FileInfo.Link link(String path) throws IOException {
        String text = Files.readSymbolicLink(host(path)).toString();
        String at = path;
        for (int links = 0; links < 40; links++) {
            if (!Files.isSymbolicLink(host(at))) {
                if (Files.notExists(host(at))) {
                    return new FileInfo.Link(text, Optional.empty(), false);
                }
                FileInfo end = stat(at);
                return new FileInfo.Link(text, Optional.of(new FileInfo.Target(at, end.type(), end.mode())), false);
            }
            String next = Files.readSymbolicLink(host(at)).toString();
            at = GuestPaths.join(next.startsWith("/") ? "/" : GuestPaths.parent(at), next);
        }
        return new FileInfo.Link(text, Optional.empty(), true);
    }

    @Override
    public List<FileInfo> list(String path, int depth) {
        try (var walk = Files.walk(host(path), depth)) {
            return walk.skip(1).map(file -> "/" + root.relativize(file)).map(this::stat)
                    .sorted(Comparator.comparing(FileInfo::path)).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public FileInfo makeDirectory(String path, String user) {
        user(user);
        if (Files.exists(host(path))) {
            throw new GuestException(Kind.ALREADY_EXISTS, "it is there");
        }
        try {
            Files.createDirectories(host(path));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return stat(path);
    }

    @Override
    public FileInfo move(String from, String to, String user) {
        user(user);
        try {
            Files.createDirectories(host(to).getParent());
            Files.move(host(from), host(to), StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw new GuestException(Kind.NOT_FOUND, "no such file: " + from);
        }
        return stat(to);
    }

    @Override
    public void remove(String path) {
        stat(path);
        try (var walk = Files.walk(host(path))) {
            for (Path file : walk.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public GuestFileReader read(String path) {
        if (Files.isDirectory(host(path))) {
            throw new GuestException(Kind.IS_A_DIRECTORY, "a directory");
        }
        FileInfo info = stat(path);
        InputStream input;
        try {
            input = Files.newInputStream(host(path));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return new GuestFileReader() {
            @Override
            public FileInfo info() {
                return info;
            }

            @Override
            public InputStream input() {
                return input;
            }

            @Override
            public void close() {
                try {
                    input.close();
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        };
    }

    @Override
    public GuestFileWriter write(String path, String user, Optional<Integer> mode, Map<String, String> given) {
        user(user);
        if (Files.isDirectory(host(path))) {
            throw new GuestException(Kind.IS_A_DIRECTORY, "a directory");
        }
        owners.add(user);
        try {
            Files.createDirectories(host(path).getParent());
            Path partial = Files.createTempFile(root, "partial", "");
            OutputStream output = Files.newOutputStream(partial);
            return new GuestFileWriter() {
                @Override
                public void write(byte[] data, int offset, int length) {
                    try {
                        output.write(data, offset, length);
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                }

                @Override
                public FileInfo commit() {
                    try {
                        output.close();
                        Files.move(partial, host(path), StandardCopyOption.REPLACE_EXISTING);
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                    metadata.put(path, given);
                    return stat(path);
                }

                @Override
                public void close() {
                    try {
                        output.close();
                        Files.deleteIfExists(partial);
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                }
            };
        } catch (IOException e) {
            throw new GuestException(Kind.NOT_A_DIRECTORY, "not a directory", e);
        }
    }

    @Override
    public FileInfo compose(List<String> sources, String destination, String user) {
        user(user);
        sources.forEach(this::stat);
        try (OutputStream output = Files.newOutputStream(host(destination))) {
            for (String source : sources) {
                Files.copy(host(source), output);
                Files.delete(host(source));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return stat(destination);
    }

    @Override
    public GuestWatcher watch(String path, Set<GuestWatcher.Option> options) {
        if (stat(path).type() != FileInfo.Type.DIRECTORY) {
            throw new GuestException(Kind.NOT_A_DIRECTORY, "not a directory");
        }
        var watcher = new ScriptedWatcher(path, options);
        watchers.add(watcher);
        return watcher;
    }

    @Override
    public GuestStream connect(int port) {
        throw new GuestException(Kind.CONNECTION_REFUSED, "nothing listens");
    }

    @Override
    public GuestMetrics metrics() {
        return new GuestMetrics(2, 12.3456, 2L << 30, 1L << 30, 1L << 28, 10L << 30, 3L << 30);
    }

    @Override
    public void setClock() {}

    @Override
    public CompletionStage<Disconnection> closed() {
        return new CompletableFuture<>();
    }

    @Override
    public void close() {}
}
