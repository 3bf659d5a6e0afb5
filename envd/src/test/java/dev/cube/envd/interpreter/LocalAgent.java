package dev.cube.envd.interpreter;

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
import dev.cube.guest.ProcessEvent;
import dev.cube.guest.ProcessInfo;
import dev.cube.guest.ProcessSpec;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/** Stands in for a guest: its processes run on this machine, its one user is whoever runs the test. */
final class LocalAgent implements GuestAgent {
    private final Path home;
    private final Map<Integer, LocalProcess> processes = new ConcurrentHashMap<>();
    final AtomicLong outputBytes = new AtomicLong();

    LocalAgent(Path home) {
        this.home = home;
    }

    @Override
    public GuestProcess start(ProcessSpec spec) {
        var command = new ArrayList<>(List.of("/usr/bin/setsid")); // as the agent's processes lead sessions
        command.add(spec.command().startsWith("/") ? spec.command() : "/usr/bin/" + spec.command());
        command.addAll(spec.args());
        var builder = new ProcessBuilder(command).directory(new java.io.File(spec.cwd().orElse(home.toString())));
        builder.environment().clear();
        builder.environment().putAll(Map.of("PATH", System.getProperty("java.home") + "/bin:/usr/bin:/bin", "HOME", home.toString(), "LANG", "C.UTF-8",
                "MPLBACKEND", "Agg"));
        builder.environment().putAll(spec.environment());
        try {
            var process = new LocalProcess(spec, builder.start());
            processes.put(process.pid(), process);
            return process.hold();
        } catch (IOException e) {
            throw new GuestException(GuestException.Kind.NOT_FOUND, e.getMessage());
        }
    }

    @Override
    public GuestProcess attach(int pid) {
        LocalProcess process = processes.get(pid);
        if (process == null) {
            throw new GuestException(GuestException.Kind.NOT_FOUND, "no process " + pid);
        }
        return process.hold();
    }

    @Override
    public List<ProcessInfo> processes() {
        return processes.values().stream().map(LocalProcess::info).toList();
    }

    @Override
    public void signal(int pid, int number) {
        if (!processes.containsKey(pid)) {
            throw new GuestException(GuestException.Kind.NOT_FOUND, "no process " + pid);
        }
        try {
            new ProcessBuilder("/bin/kill", "-" + number, "--", "-" + pid).start().waitFor();
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public GuestUser user(String name) {
        if (name.equals("root")) {
            return new GuestUser("root", 0, 0, home.toString(), "/bin/sh");
        }
        throw new GuestException(GuestException.Kind.UNKNOWN_USER, "no user " + name);
    }

    @Override
    public GuestFileWriter write(String path, String user, Optional<Integer> mode, Map<String, String> metadata) {
        var content = new ByteArrayOutputStream();
        return new GuestFileWriter() {
            @Override
            public void write(byte[] data, int offset, int length) {
                content.write(data, offset, length);
            }

            @Override
            public FileInfo commit() {
                try {
                    Files.createDirectories(Path.of(path).getParent());
                    Files.write(Path.of(path), content.toByteArray());
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
                return new FileInfo(path, Path.of(path).getFileName().toString(), FileInfo.Type.FILE, content.size(),
                        0644, "root", "root", Instant.now(), Optional.empty(), Map.of());
            }

            @Override
            public void close() {
                // nothing was written before the commit
            }
        };
    }

    @Override
    public FileInfo compose(List<String> sources, String destination, String user) {
        throw new UnsupportedOperationException();
    }

    @Override
    public GuestWatcher watch(String path, Set<GuestWatcher.Option> options) {
        throw new UnsupportedOperationException();
    }

    @Override
    public FileInfo stat(String path) {
        if (!Files.exists(Path.of(path))) {
            throw new GuestException(GuestException.Kind.NOT_FOUND, "no file " + path);
        }
        return new FileInfo(path, Path.of(path).getFileName().toString(), FileInfo.Type.FILE, 0, 0644, "root", "root",
                Instant.now(), Optional.empty(), Map.of());
    }

    @Override
    public List<FileInfo> list(String path, int depth) {
        throw new UnsupportedOperationException();
    }

    @Override
    public FileInfo makeDirectory(String path, String user) {
        throw new UnsupportedOperationException();
    }

    @Override
    public FileInfo move(String from, String to, String user) {
        throw new UnsupportedOperationException();
    }

    @Override
    public void remove(String path) {
        throw new UnsupportedOperationException();
    }

    @Override
    public GuestFileReader read(String path) {
        throw new UnsupportedOperationException();
    }

    @Override
    public GuestStream connect(int port) {
        throw new UnsupportedOperationException();
    }

    @Override
    public GuestMetrics metrics() {
        throw new UnsupportedOperationException();
    }

    @Override
    public void setClock() {}

    @Override
    public CompletionStage<Disconnection> closed() {
        return new CompletableFuture<>();
    }

    /** Ends every process, and the zygote, which is nobody's child. */
    @Override
    public void close() {
        ProcessHandle.allProcesses().filter(process -> process.info().arguments().stream().flatMap(Arrays::stream)
                .anyMatch(argument -> argument.startsWith(home.toString()))).forEach(ProcessHandle::destroyForcibly);
        for (LocalProcess process : processes.values()) {
            process.process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.process.destroyForcibly();
        }
        for (LocalProcess process : processes.values()) {
            process.process.onExit().join();
        }
    }

    private final class LocalProcess {
        private final ProcessSpec spec;
        private final Process process;
        private volatile Hold holder;

        LocalProcess(ProcessSpec spec, Process process) throws IOException {
            this.spec = spec;
            this.process = process;
            if (!spec.stdin()) {
                process.getOutputStream().close();
            }
            Thread out = pump(process.getInputStream(), ProcessEvent.Stream.STDOUT);
            Thread err = pump(process.getErrorStream(), ProcessEvent.Stream.STDERR);
            Thread.ofVirtual().start(() -> reap(out, err));
        }

        int pid() {
            return Math.toIntExact(process.pid());
        }

        ProcessInfo info() {
            return new ProcessInfo(pid(), spec.command(), spec.args(), spec.environment(), spec.cwd(), spec.tag(), false,
                    spec.stdin());
        }

        Hold hold() {
            Hold hold = new Hold(this);
            holder = hold;
            return hold;
        }

        private Thread pump(InputStream source, ProcessEvent.Stream stream) {
            return Thread.ofVirtual().start(() -> {
                byte[] buffer = new byte[32 * 1024];
                try {
                    for (int count = source.read(buffer); count >= 0; count = source.read(buffer)) {
                        outputBytes.addAndGet(count);
                        deliver(new ProcessEvent.Output(stream, Arrays.copyOf(buffer, count)));
                    }
                } catch (IOException e) {
                    // the process was ended
                }
            });
        }

        private void reap(Thread out, Thread err) {
            try {
                int status = process.waitFor();
                processes.remove(pid());
                out.join();
                err.join();
                deliver(status > 128 ? new ProcessEvent.Exited(0, status - 128) : new ProcessEvent.Exited(status, 0));
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }

        /** Waits for the holder to take it; without a holder it is dropped. */
        private void deliver(ProcessEvent event) {
            try {
                for (Hold hold = holder; hold != null; hold = holder) {
                    if (hold.events.offer(event, 20, TimeUnit.MILLISECONDS)) {
                        return;
                    }
                }
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private static final class Hold implements GuestProcess {
        private final LocalProcess of;
        private final SynchronousQueue<ProcessEvent> events = new SynchronousQueue<>();

        Hold(LocalProcess of) {
            this.of = of;
        }

        @Override
        public int pid() {
            return of.pid();
        }

        @Override
        public ProcessEvent next() {
            try {
                return events.take();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }

        @Override
        public void write(byte[] data, int offset, int length) {
            try {
                of.process.getOutputStream().write(data, offset, length);
                of.process.getOutputStream().flush();
            } catch (IOException e) {
                throw new GuestException(GuestException.Kind.INTERNAL, e.getMessage());
            }
        }

        @Override
        public void closeStdin() {
            throw new UnsupportedOperationException();
        }

        @Override
        public void signal(int number) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void resize(ProcessSpec.PtySize size) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void close() {
            if (of.holder == this) {
                of.holder = null;
            }
        }
    }
}
