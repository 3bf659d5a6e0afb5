package dev.cube.envd.daemon;

import dev.cube.guest.FileEvent;
import dev.cube.guest.FileInfo;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestWatcher;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A watch in which happens what a test says. */
final class ScriptedWatcher implements GuestWatcher {
    private record Failure(GuestException cause) {}

    final String path;
    final Set<Option> options;
    volatile boolean closed;
    private final LinkedBlockingQueue<Object> events = new LinkedBlockingQueue<>();

    ScriptedWatcher(String path, Set<Option> options) {
        this.path = path;
        this.options = options;
    }

    ScriptedWatcher sees(FileEvent.Type type, String name, FileInfo... entry) {
        events.add(new FileEvent(type, name, List.of(entry).stream().findFirst()));
        return this;
    }

    void fails(GuestException.Kind kind, String message) {
        events.add(new Failure(new GuestException(kind, message)));
    }

    @Override
    public List<FileEvent> next(Duration patience) {
        Optional<Object> first = poll(patience);
        if (first.isEmpty()) {
            return List.of();
        }
        if (first.get() instanceof Failure(GuestException cause)) {
            events.add(first.get());
            throw cause;
        }
        var all = new ArrayList<FileEvent>();
        all.add((FileEvent) first.get());
        while (events.peek() instanceof FileEvent) {
            all.add((FileEvent) events.remove());
        }
        return all;
    }

    private Optional<Object> poll(Duration patience) {
        try {
            return Optional.ofNullable(events.poll(patience.toNanos(), TimeUnit.NANOSECONDS));
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        closed = true;
        fails(GuestException.Kind.INVALID_ARGUMENT, "the channel is closed");
    }
}
