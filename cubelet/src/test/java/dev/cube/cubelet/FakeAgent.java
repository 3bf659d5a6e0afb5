package dev.cube.cubelet;

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
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;

/** A connection to nobody: what is started exits at once with status 0. */
final class FakeAgent implements GuestAgent {
    final CompletableFuture<Disconnection> closed = new CompletableFuture<>();
    final List<ProcessSpec> started = new CopyOnWriteArrayList<>();
    final AtomicInteger clocksSet = new AtomicInteger();

    @Override
    public GuestProcess start(ProcessSpec spec) {
        started.add(spec);
        return new EndedProcess();
    }

    @Override
    public void setClock() {
        clocksSet.incrementAndGet();
    }

    @Override
    public CompletionStage<Disconnection> closed() {
        return closed.minimalCompletionStage();
    }

    @Override
    public void close() {
        closed.complete(new Disconnection("closed by the host", false));
    }

    @Override
    public GuestProcess attach(int pid) {
        throw unexpected();
    }

    @Override
    public List<ProcessInfo> processes() {
        throw unexpected();
    }

    @Override
    public void signal(int pid, int number) {
        throw unexpected();
    }

    @Override
    public GuestUser user(String name) {
        throw unexpected();
    }

    @Override
    public FileInfo stat(String path) {
        throw unexpected();
    }

    @Override
    public List<FileInfo> list(String path, int depth) {
        throw unexpected();
    }

    @Override
    public FileInfo makeDirectory(String path, String user) {
        throw unexpected();
    }

    @Override
    public FileInfo move(String from, String to, String user) {
        throw unexpected();
    }

    @Override
    public void remove(String path) {
        throw unexpected();
    }

    @Override
    public GuestFileReader read(String path) {
        throw unexpected();
    }

    @Override
    public GuestFileWriter write(String path, String user, Optional<Integer> mode, Map<String, String> metadata) {
        throw unexpected();
    }

    @Override
    public FileInfo compose(List<String> sources, String destination, String user) {
        throw unexpected();
    }

    @Override
    public GuestWatcher watch(String path, Set<GuestWatcher.Option> options) {
        throw unexpected();
    }

    @Override
    public GuestStream connect(int port) {
        throw unexpected();
    }

    @Override
    public GuestMetrics metrics() {
        throw unexpected();
    }

    private static GuestException unexpected() {
        return new GuestException(GuestException.Kind.INTERNAL, "not wanted here");
    }

    private static final class EndedProcess implements GuestProcess {
        @Override
        public int pid() {
            return 2;
        }

        @Override
        public ProcessEvent next() {
            return new ProcessEvent.Exited(0, 0);
        }

        @Override
        public void write(byte[] data, int offset, int length) {}

        @Override
        public void closeStdin() {}

        @Override
        public void signal(int number) {}

        @Override
        public void resize(ProcessSpec.PtySize size) {}

        @Override
        public void close() {}
    }
}
