package dev.cube.guest;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.guest.FileEvent.Type;
import dev.cube.guest.GuestWatcher.Option;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Watches of the real agent, as a process of this machine. */
@Timeout(120)
class WatchIT {
    private static final String USER = System.getProperty("user.name");
    private static final Duration PATIENCE = Duration.ofSeconds(20);
    /** Made at the end of what a test does, so that it knows when it has seen all. */
    private static final String LAST = "last";

    @TempDir
    private Path temporary;
    private Path directory;
    private LocalAgent local;
    private AgentConnection agent;

    @BeforeEach
    void start() throws IOException {
        directory = Files.createDirectory(temporary.resolve("watched"));
        local = LocalAgent.start(temporary);
        agent = local.connect(new Epoch.Restored("sandbox-1", Map.of()));
    }

    @AfterEach
    void stop() {
        local.close();
        agent.close();
    }

    private GuestWatcher watch(Option... options) {
        return agent.watch(directory.toString(), Set.of(options));
    }

    private static FileEvent event(Type type, String name) {
        return new FileEvent(type, name, Optional.empty());
    }

    private static List<FileEvent> until(GuestWatcher watcher, Predicate<FileEvent> last) {
        var events = new ArrayList<FileEvent>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (events.stream().noneMatch(last)) {
            assertThat(System.nanoTime()).as("time, with " + events).isLessThan(deadline);
            events.addAll(watcher.next(Duration.ofSeconds(1)));
        }
        return events;
    }

    /** All events but the last, of a directory made for the purpose. */
    private List<FileEvent> soFar(GuestWatcher watcher) throws IOException {
        Files.createDirectory(directory.resolve(LAST));
        List<FileEvent> events = until(watcher, event -> event.name().equals(LAST));
        return events.stream().filter(event -> !event.name().equals(LAST)).toList();
    }

    private void write(Path file, String text) {
        try (GuestFileWriter writer = agent.write(file.toString(), USER, Optional.empty())) {
            writer.write(text.getBytes(UTF_8), 0, text.length());
            writer.commit();
        }
    }

    @Test
    void whatHappensIsToldInOrder() throws IOException {
        Files.writeString(directory.resolve("old"), "1");
        try (GuestWatcher watcher = watch()) {
            assertThat(watcher.next(Duration.ZERO)).isEmpty();
            Files.createFile(directory.resolve("new"));
            /* Opening a file to replace its content would be an event too, which the kernel may merge with the next. */
            Files.writeString(directory.resolve("new"), "x", StandardOpenOption.APPEND);
            Files.setPosixFilePermissions(directory.resolve("new"), PosixFilePermissions.fromString("rwx------"));
            Files.move(directory.resolve("new"), directory.resolve("moved"));
            Files.delete(directory.resolve("moved"));
            Files.move(directory.resolve("old"), temporary.resolve("old"));
            assertThat(soFar(watcher)).containsExactly(event(Type.CREATE, "new"), event(Type.WRITE, "new"),
                    event(Type.CHMOD, "new"), event(Type.RENAME, "new"), event(Type.CREATE, "moved"),
                    event(Type.REMOVE, "moved"), event(Type.RENAME, "old"));
        }
    }

    @Test
    void anUploadIsAFileBeingWritten() throws IOException {
        try (GuestWatcher watcher = watch()) {
            write(directory.resolve("file"), "new");
            write(directory.resolve("file"), "again");
            try (GuestFileWriter dropped = agent.write(directory + "/other", USER, Optional.empty())) {
                dropped.write(new byte[1], 0, 1);
            }
            assertThat(soFar(watcher)).containsExactly(event(Type.CREATE, "file"), event(Type.CHMOD, "file"),
                    event(Type.WRITE, "file"), event(Type.CHMOD, "file"), event(Type.WRITE, "file"));
        }
    }

    @Test
    void aChangeIsThereBeforeTheAnswerToALaterRequest() throws IOException {
        try (GuestWatcher watcher = watch()) {
            for (int i = 0; i < 100; i++) {
                Files.createFile(directory.resolve("file" + i));
                agent.stat(directory.toString());
                assertThat(watcher.next(Duration.ZERO)).containsExactly(event(Type.CREATE, "file" + i));
            }
        }
    }

    @Test
    void entriesAreDescribedWhileTheyAreThere() throws IOException {
        try (GuestWatcher watcher = watch(Option.ENTRIES)) {
            write(directory.resolve("file"), "12345");
            Files.delete(directory.resolve("file"));
            List<FileEvent> events = soFar(watcher);
            assertThat(events).filteredOn(event -> event.type() == Type.REMOVE).singleElement()
                    .extracting(FileEvent::entry).isEqualTo(Optional.empty());
        }
        try (GuestWatcher watcher = watch(Option.ENTRIES)) {
            write(directory.resolve("file"), "12345");
            FileInfo entry = until(watcher, event -> event.type() == Type.WRITE).getLast().entry().orElseThrow();
            assertThat(entry.path()).isEqualTo(directory + "/file");
            assertThat(entry.size()).isEqualTo(5);
        }
    }

    @Test
    void theDirectoryItselfIsToldOf() throws IOException {
        try (GuestWatcher watcher = watch()) {
            Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwx------"));
            Files.delete(directory);
            assertThat(until(watcher, event -> event.type() == Type.REMOVE))
                    .containsExactly(event(Type.CHMOD, "."), event(Type.REMOVE, "."));
            Files.createDirectory(directory);
            assertThat(watcher.next(Duration.ofMillis(100))).isEmpty();
        }
        try (GuestWatcher watcher = watch(Option.RECURSIVE)) {
            Files.move(directory, temporary.resolve("away"));
            Files.createFile(temporary.resolve("away/unseen"));
            assertThat(until(watcher, event -> event.type() == Type.RENAME)).containsExactly(event(Type.RENAME, "."));
            assertThat(watcher.next(Duration.ofMillis(100))).isEmpty();
        }
    }

    @Test
    void subdirectoriesAreWatchedOnlyIfAsked() throws IOException {
        Files.createDirectories(directory.resolve("a/b"));
        try (GuestWatcher flat = watch(); GuestWatcher deep = watch(Option.RECURSIVE)) {
            Files.createFile(directory.resolve("a/b/file"));
            Files.delete(directory.resolve("a/b/file"));
            Files.delete(directory.resolve("a/b"));
            assertThat(soFar(flat)).isEmpty();
            Files.delete(directory.resolve(LAST));
            assertThat(soFar(deep)).containsExactly(event(Type.CREATE, "a/b/file"), event(Type.REMOVE, "a/b/file"),
                    event(Type.REMOVE, "a/b"));
        }
    }

    @Test
    void everythingInNewDirectoriesIsToldOfOnce() throws IOException {
        try (GuestWatcher watcher = watch(Option.RECURSIVE)) {
            var expected = new HashMap<String, Integer>();
            for (int i = 0; i < 200; i++) {
                Path deep = directory.resolve("d" + i + "/e/f");
                Files.createDirectories(deep);
                Files.createFile(deep.resolve("file"));
                for (String below : List.of("", "/e", "/e/f", "/e/f/file")) {
                    expected.put("d" + i + below, 1);
                }
            }
            var created = new HashMap<String, Integer>();
            soFar(watcher).stream().filter(event -> event.type() == Type.CREATE)
                    .forEach(event -> created.merge(event.name(), 1, Integer::sum));
            assertThat(created).isEqualTo(expected);
            Files.writeString(directory.resolve("d7/e/f/file"), "x");
            until(watcher, event(Type.WRITE, "d7/e/f/file")::equals);
        }
    }

    @Test
    void movedDirectoriesGoOnUnderTheirNewNames() throws IOException {
        Files.createDirectories(directory.resolve("a/b"));
        Files.createDirectories(directory.resolve("other"));
        Path outside = Files.createDirectories(temporary.resolve("outside/inner"));
        try (GuestWatcher watcher = watch(Option.RECURSIVE)) {
            Files.move(directory.resolve("a"), directory.resolve("other/z"));
            Files.createFile(directory.resolve("other/z/b/file"));
            until(watcher, event(Type.CREATE, "other/z/b/file")::equals);

            Files.move(outside.getParent(), directory.resolve("in"));
            until(watcher, event(Type.CREATE, "in")::equals);
            Files.createFile(directory.resolve("in/inner/file"));
            until(watcher, event(Type.CREATE, "in/inner/file")::equals);

            Files.move(directory.resolve("other"), temporary.resolve("gone"));
            until(watcher, event(Type.RENAME, "other")::equals);
            Files.createFile(temporary.resolve("gone/z/b/unseen"));
            assertThat(soFar(watcher)).isEmpty();
        }
    }

    @Test
    void anEventThatDoesNotFitEndsTheWatch() throws IOException {
        Path first = Files.createFile(directory.resolve("x"));
        Path second = directory.resolve("y");
        try (GuestWatcher watcher = watch()) {
            /* The kernel merges only an event that is the same as the one before. */
            for (int i = 0; i < 40_000; i++) {
                Files.move(first, second);
                Files.move(second, first);
            }
            assertThatThrownBy(() -> until(watcher, event -> false)).isInstanceOfSatisfying(GuestException.class,
                    e -> assertThat(e.kind()).isEqualTo(GuestException.Kind.INTERNAL))
                    .hasMessageContaining("faster than they are taken");
        }
        try (GuestWatcher again = watch()) {
            assertThat(soFar(again)).isEmpty();
        }
    }

    @Test
    void whatCannotBeWatchedIsRefused() throws IOException {
        Path file = Files.createFile(temporary.resolve("file"));
        assertThatThrownBy(() -> agent.watch(temporary + "/nothing", Set.of()))
                .isInstanceOfSatisfying(GuestException.class,
                        e -> assertThat(e.kind()).isEqualTo(GuestException.Kind.NOT_FOUND));
        assertThatThrownBy(() -> agent.watch(file.toString(), Set.of(Option.RECURSIVE)))
                .isInstanceOfSatisfying(GuestException.class,
                        e -> assertThat(e.kind()).isEqualTo(GuestException.Kind.NOT_A_DIRECTORY));
    }

    @Test
    void thereIsABoundOnWatches() {
        List<GuestWatcher> watchers = IntStream.range(0, 64).mapToObj(i -> watch()).toList();
        assertThatThrownBy(this::watch).isInstanceOfSatisfying(GuestException.class,
                e -> assertThat(e.kind()).isEqualTo(GuestException.Kind.RESOURCE_EXHAUSTED));
        watchers.forEach(GuestWatcher::close);
        watch().close();
    }

    @Test
    void aNewHostFindsNoWatchesOfTheOld() {
        IntStream.range(0, 64).forEach(i -> watch());
        agent.close();
        agent = local.connect(new Epoch.Reattached());
        watch().close();
    }
}
