package dev.cube.guest;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.cube.guest.GuestException.Kind;
import dev.cube.guest.ProcessEvent.Stream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserDefinedFileAttributeView;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Both ends of the protocol together, without a VM. */
@Timeout(120)
class LocalAgentIT {
    private static final String USER = System.getProperty("user.name");

    @TempDir
    private Path directory;
    private LocalAgent local;
    private AgentConnection agent;

    @BeforeEach
    void start() {
        local = LocalAgent.start(directory);
        agent = local.connect(new Epoch.Restored("sandbox-1", Map.of("COLOUR", "blue", "LANG", "C.UTF-8")));
    }

    @AfterEach
    void stop() {
        local.close();
        agent.close();
    }

    // ---- processes ----

    private static ProcessSpec spec(String command, String... args) {
        return new ProcessSpec(command, List.of(args), Map.of(), Optional.of("/"), USER, Optional.empty(),
                Optional.empty(), false);
    }

    private static ProcessSpec withStdin(String command, String... args) {
        return new ProcessSpec(command, List.of(args), Map.of(), Optional.of("/"), USER, Optional.empty(),
                Optional.empty(), true);
    }

    private static ProcessSpec withPty(ProcessSpec.PtySize size, String... shellScript) {
        return new ProcessSpec("sh", List.of(shellScript), Map.of("TERM", "dumb"), Optional.of("/"), USER,
                Optional.empty(), Optional.of(size), false);
    }

    private record Finished(String stdout, String stderr, String pty, ProcessEvent.Exited exit) {}

    private static Finished finish(GuestProcess process) {
        Map<Stream, ByteArrayOutputStream> outputs = Map.of(Stream.STDOUT, new ByteArrayOutputStream(),
                Stream.STDERR, new ByteArrayOutputStream(), Stream.PTY, new ByteArrayOutputStream());
        while (true) {
            switch (process.next()) {
                case ProcessEvent.Output(Stream stream, byte[] data) -> outputs.get(stream).writeBytes(data);
                case ProcessEvent.Exited exited -> {
                    return new Finished(outputs.get(Stream.STDOUT).toString(UTF_8),
                            outputs.get(Stream.STDERR).toString(UTF_8), outputs.get(Stream.PTY).toString(UTF_8), exited);
                }
            }
        }
    }

    private static String readUntil(GuestProcess process, Predicate<String> enough) {
        var output = new ByteArrayOutputStream();
        while (!enough.test(output.toString(UTF_8))) {
            if (process.next() instanceof ProcessEvent.Output(Stream _, byte[] data)) {
                output.writeBytes(data);
            } else {
                throw new AssertionError("process ended after: " + output.toString(UTF_8));
            }
        }
        return output.toString(UTF_8);
    }

    private static void assertFails(Kind kind, String message, ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOfSatisfying(GuestException.class,
                e -> assertThat(e.kind()).isEqualTo(kind)).hasMessageContaining(message);
    }

    @Test
    void outputsAndExitStatusAreKeptApart() {
        try (GuestProcess process = agent.start(spec("sh", "-c", "echo out; echo err >&2; exit 7"))) {
            assertThat(finish(process))
                    .isEqualTo(new Finished("out\n", "err\n", "", new ProcessEvent.Exited(7, 0)));
        }
    }

    @Test
    void deathBySignalIsTold() {
        try (GuestProcess process = agent.start(spec("sh", "-c", "kill -TERM $$"))) {
            assertThat(finish(process).exit()).isEqualTo(new ProcessEvent.Exited(0, 15));
        }
    }

    @Test
    void environmentIsOfUserSandboxAndProcessInThisOrder() {
        var spec = new ProcessSpec("env", List.of(), Map.of("COLOUR", "red", "EMPTY", ""), Optional.empty(), USER,
                Optional.empty(), Optional.empty(), false);
        try (GuestProcess process = agent.start(spec)) {
            assertThat(finish(process).stdout().lines()).contains("COLOUR=red", "EMPTY=", "LANG=C.UTF-8",
                    "USER=" + USER, "LOGNAME=" + USER, "HOME=" + agent.user(USER).home(),
                    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").doesNotContain("COLOUR=blue");
        }
    }

    @Test
    void whatCannotStartIsAnErrorWithItsReason() throws IOException {
        Path script = Files.writeString(directory.resolve("plain"), "no program");
        assertFails(Kind.NOT_FOUND, "exec 'no-such-command'", () -> agent.start(spec("no-such-command")));
        assertFails(Kind.NOT_FOUND, "exec '/no/such'", () -> agent.start(spec("/no/such")));
        assertFails(Kind.PERMISSION_DENIED, "plain", () -> agent.start(spec(script.toString())));
        assertFails(Kind.UNKNOWN_USER, "nobody-here", () -> agent.start(new ProcessSpec("true", List.of(), Map.of(),
                Optional.empty(), "nobody-here", Optional.empty(), Optional.empty(), false)));
        assertFails(Kind.INVALID_ARGUMENT, "cwd '/no/such' does not exist", () -> agent.start(new ProcessSpec("true",
                List.of(), Map.of(), Optional.of("/no/such"), USER, Optional.empty(), Optional.empty(), false)));
        assertFails(Kind.INVALID_ARGUMENT, "zero character", () -> agent.start(spec("true", "a\0b")));
        assertThat(agent.processes()).isEmpty();
    }

    @Test
    void longArgumentsTakeSeveralFrames() {
        String argument = "x".repeat(100_000);
        try (GuestProcess process = agent.start(spec("printf", "%s", argument))) {
            assertThat(finish(process).stdout()).isEqualTo(argument);
        }
    }

    @Test
    void stdinIsPassedAndClosed() {
        byte[] input = new byte[3_000_000];
        new Random(1).nextBytes(input);
        try (GuestProcess process = agent.start(withStdin("cat"))) {
            CompletableFuture<Void> writing = CompletableFuture.runAsync(() -> {
                process.write(input, 0, input.length);
                process.closeStdin();
            });
            var output = new ByteArrayOutputStream();
            while (process.next() instanceof ProcessEvent.Output(Stream _, byte[] data)) {
                output.writeBytes(data);
            }
            writing.join();
            assertThat(output.toByteArray()).isEqualTo(input);
        }
    }

    @Test
    void aProcessThatDoesNotReadStopsItsWriterOnly() {
        try (GuestProcess process = agent.start(withStdin("sleep", "1000"))) {
            Thread writer = Thread.ofVirtual().start(() -> process.write(new byte[10_000_000], 0, 10_000_000));
            try (GuestProcess other = agent.start(spec("echo", "fine"))) {
                assertThat(finish(other).stdout()).isEqualTo("fine\n");
            }
            assertThat(writer.isAlive()).isTrue();
            process.signal(9);
            assertThat(finish(process).exit().signal()).isEqualTo(9);
            await().until(() -> !writer.isAlive());
        } catch (GuestException e) {
            assertThat(e.kind()).isEqualTo(Kind.NOT_FOUND);
        }
    }

    @Test
    void whatNobodyWillReadIsTakenAndDropped() {
        byte[] much = new byte[1_000_000];
        try (GuestProcess without = agent.start(spec("sleep", "1000"));
                GuestProcess closing = agent.start(withStdin("sh", "-c", "exec <&-; echo closed; exec sleep 1000"))) {
            readUntil(closing, output -> output.equals("closed\n"));
            for (GuestProcess process : List.of(without, closing)) {
                process.write(much, 0, much.length);
                process.signal(9);
                assertThat(finish(process).exit().signal()).isEqualTo(9);
            }
        }
    }

    @Test
    void aGibibyteOfOutputIsWholeAndTakesNoMemory() throws IOException {
        long total = 1L << 30;
        try (GuestProcess process = agent.start(spec("sh", "-c", "yes 0123456789abcde | head -c " + total))) {
            byte[] pattern = "0123456789abcde\n".getBytes(UTF_8);
            long before = local.residentBytes();
            long received = 0;
            while (process.next() instanceof ProcessEvent.Output(Stream _, byte[] data)) {
                if (received % (64 << 20) < data.length) {
                    for (int i = 0; i < data.length; i++) {
                        assertThat(data[i]).isEqualTo(pattern[(int) ((received + i) % pattern.length)]);
                    }
                }
                received += data.length;
            }
            assertThat(received).isEqualTo(total);
            assertThat(local.residentBytes() - before).isLessThan(2 << 20);
        }
    }

    @Test
    void unreadOutputHoldsTheProcess() throws IOException {
        Path counter = directory.resolve("written");
        try (GuestProcess _ = agent.start(spec("sh", "-c",
                "for i in $(seq 100); do head -c 100000 /dev/zero; echo $i >" + counter + "; done"))) {
            await().until(() -> Files.exists(counter));
            await().during(java.time.Duration.ofMillis(300)).until(() -> !Files.readString(counter).equals("100\n"));
        }
        // A hundred processes are started, on a machine that may be busy.
        await().atMost(java.time.Duration.ofMinutes(1)).until(() -> Files.readString(counter).equals("100\n"));
    }

    @Test
    void aTerminalIsOneStreamWithASize() {
        var size = new ProcessSpec.PtySize(100, 30);
        try (GuestProcess process = agent.start(withPty(size, "-c", "tty >&2; stty size; read x; stty size; echo $x"))) {
            readUntil(process, output -> output.contains("30 100"));
            process.resize(new ProcessSpec.PtySize(132, 50));
            process.write("typed\n".getBytes(UTF_8), 0, 6);
            Finished finished = finish(process);
            assertThat(finished.pty()).contains("50 132").contains("typed\r\n");
            assertThat(finished.exit()).isEqualTo(new ProcessEvent.Exited(0, 0));
        }
    }

    @Test
    void aTerminalsProcessHasItAsControllingTerminal() {
        try (GuestProcess process = agent.start(withPty(new ProcessSpec.PtySize(80, 24), "-c",
                "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done </dev/tty"))) {
            readUntil(process, output -> output.contains("ready"));
            process.write(new byte[] {3}, 0, 1);
            Finished finished = finish(process);
            assertThat(finished.pty()).contains("caught");
            assertThat(finished.exit().exitCode()).isEqualTo(5);
        }
    }

    @Test
    void resizeNeedsATerminal() {
        try (GuestProcess process = agent.start(spec("sleep", "1000"))) {
            assertFails(Kind.INVALID_ARGUMENT, "no terminal", () -> process.resize(new ProcessSpec.PtySize(1, 1)));
            process.signal(9);
        }
    }

    @Test
    void aTimeLimitIsTheGuestsToKeep() {
        var limited = new ProcessSpec("sh", List.of("-c", "sleep 1000 & wait"), Map.of(), Optional.of("/"), USER,
                Optional.empty(), Optional.empty(), false, Optional.of(Duration.ofMillis(300)));
        int first;
        try (GuestProcess process = agent.start(limited); GuestProcess unlimited = agent.start(spec("sleep", "1000"))) {
            assertThat(finish(process).exit()).isEqualTo(new ProcessEvent.Exited(0, 9));
            assertThat(agent.processes()).extracting(ProcessInfo::pid).containsExactly(unlimited.pid());
            unlimited.signal(9);
            first = agent.start(limited).pid();
        }
        /* No host is there when its time comes. */
        agent.close();
        await().until(() -> ProcessHandle.of(first).isEmpty());
    }

    @Test
    void aKillTakesTheGroupAndDoesNotWaitForWhatLeftIt() {
        try (GuestProcess process = agent.start(spec("sh", "-c",
                "sleep 1000 & setsid sleep 1001 & echo started; wait"))) {
            readUntil(process, output -> output.contains("started"));
            process.signal(9);
            assertThat(finish(process).exit().signal()).isEqualTo(9);
        }
    }

    @Test
    void processesCanBeListedAndAttachedTo() {
        var spec = new ProcessSpec("sh", List.of("-c", "read x; echo got $x"), Map.of("A", "b=c"), Optional.of("/tmp"),
                USER, Optional.of("tagged"), Optional.empty(), true);
        GuestProcess first = agent.start(spec);
        assertThat(agent.processes()).containsExactly(new ProcessInfo(first.pid(), "sh",
                List.of("-c", "read x; echo got $x"), Map.of("A", "b=c"), Optional.of("/tmp"), Optional.of("tagged"),
                false, true));
        try (GuestProcess second = agent.attach(first.pid())) {
            assertFails(Kind.DISCONNECTED, "another holder", first::next);
            second.write("it\n".getBytes(UTF_8), 0, 3);
            assertThat(finish(second).stdout()).isEqualTo("got it\n");
        }
        assertThat(agent.processes()).isEmpty();
        assertFails(Kind.NOT_FOUND, "no process", () -> agent.attach(first.pid()));
        assertFails(Kind.NOT_FOUND, "no process", () -> agent.signal(first.pid(), 9));
    }

    @Test
    void aProcessOutlivesItsHostAndWaitsForTheNext() throws IOException {
        Path done = directory.resolve("done");
        GuestProcess process = agent.start(spec("sh", "-c", "echo begin; head -c 1000000 /dev/zero; touch " + done));
        readUntil(process, output -> output.startsWith("begin"));
        agent.close();
        agent = local.connect(new Epoch.Reattached());
        try (GuestProcess again = agent.attach(process.pid())) {
            assertThat(Files.exists(done)).isFalse();
            assertThat(finish(again).exit()).isEqualTo(new ProcessEvent.Exited(0, 0));
        }
    }

    @Test
    void outputThatNobodyHoldsIsDropped() {
        Path done = directory.resolve("done");
        agent.start(spec("sh", "-c", "head -c 10000000 /dev/zero; touch " + done)).close();
        await().until(() -> Files.exists(done));
    }

    @Test
    void manyProcessesAtOnce() {
        List<CompletableFuture<String>> all = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            String n = Integer.toString(i);
            all.add(CompletableFuture.supplyAsync(() -> {
                try (GuestProcess process = agent.start(spec("echo", n))) {
                    return finish(process).stdout();
                }
            }, task -> Thread.ofVirtual().start(task)));
        }
        assertThat(all.stream().map(CompletableFuture::join))
                .containsExactlyElementsOf(IntStream.range(0, 200).mapToObj(i -> i + "\n").toList());
    }

    @Test
    void tooManyChannelsAreRefused() {
        try (ServerSocket server = new ServerSocket(0, 2000, InetAddress.getByName("127.0.0.1"))) {
            List<GuestStream> streams = new ArrayList<>();
            assertFails(Kind.RESOURCE_EXHAUSTED, "operations at once", () -> {
                for (int i = 0; i <= Wire.CHANNELS; i++) {
                    streams.add(agent.connect(server.getLocalPort()));
                }
            });
            streams.forEach(GuestStream::close);
            await().ignoreException(GuestException.class)
                    .untilAsserted(() -> assertThat(agent.user(USER).name()).isEqualTo(USER));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    // ---- files ----

    private void write(Path path, byte[] content, Optional<Integer> mode) {
        try (GuestFileWriter writer = agent.write(path.toString(), USER, mode)) {
            writer.write(content, 0, content.length);
            FileInfo info = writer.commit();
            assertThat(info.size()).isEqualTo(content.length);
        }
    }

    private byte[] read(Path path) throws IOException {
        try (GuestFileReader reader = agent.read(path.toString())) {
            byte[] content = reader.input().readAllBytes();
            assertThat(reader.info().size()).isEqualTo(content.length);
            return content;
        }
    }

    @Test
    void filesAreWrittenAndReadBack() throws IOException {
        byte[] content = new byte[5_000_000];
        new Random(2).nextBytes(content);
        Path file = directory.resolve("new/parents/file.bin");
        write(file, content, Optional.empty());
        assertThat(Files.readAllBytes(file)).isEqualTo(content);
        assertThat(read(file)).isEqualTo(content);
        assertThat(Files.getPosixFilePermissions(file)).isEqualTo(PosixFilePermissions.fromString("rw-r--r--"));
        write(file, new byte[0], Optional.of(0600));
        assertThat(read(file)).isEmpty();
        assertThat(Files.getPosixFilePermissions(file)).isEqualTo(PosixFilePermissions.fromString("rw-------"));
        write(file, new byte[] {1}, Optional.empty());
        assertThat(Files.getPosixFilePermissions(file)).isEqualTo(PosixFilePermissions.fromString("rw-------"));
    }

    @Test
    void aWriteThatIsNotCommittedLeavesNothing() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "old");
        Path fresh = directory.resolve("fresh");
        for (Path path : List.of(file, fresh)) {
            try (GuestFileWriter writer = agent.write(path.toString(), USER, Optional.empty())) {
                writer.write("half".getBytes(UTF_8), 0, 4);
            }
        }
        await().untilAsserted(() -> assertThat(agent.list(directory.toString(), 1)).extracting(FileInfo::name)
                .noneMatch(name -> name.startsWith(".cube-")));
        assertThat(file).hasContent("old");
        assertThat(fresh).doesNotExist();
    }

    @Test
    void aLinkIsWrittenThroughAndStaysALink() throws IOException {
        Path target = Files.writeString(directory.resolve("target"), "old");
        Path link = Files.createSymbolicLink(directory.resolve("link"), Path.of("target"));
        try (GuestFileWriter writer = agent.write(link.toString(), USER, Optional.empty())) {
            writer.write("new".getBytes(UTF_8), 0, 3);
            writer.commit();
        }
        assertThat(link).isSymbolicLink();
        assertThat(target).hasContent("new");
    }

    @Test
    void statTellsEachTypeOfFile() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "12345");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-x--x"));
        Path link = Files.createSymbolicLink(directory.resolve("link"), Path.of("no/where"));
        FileInfo info = agent.stat(file.toString());
        assertThat(info).isEqualTo(new FileInfo(file.toString(), "file", FileInfo.Type.FILE, 5, 0751,
                Files.getOwner(file).getName(), Files.readAttributes(file,
                        java.nio.file.attribute.PosixFileAttributes.class).group().getName(),
                Files.getLastModifiedTime(file).toInstant(), Optional.empty(), Map.of()));
        assertThat(agent.stat(link.toString()).type()).isEqualTo(FileInfo.Type.SYMLINK);
        assertThat(agent.stat(link.toString()).link())
                .contains(new FileInfo.Link("no/where", Optional.empty(), false));
        assertThat(agent.stat(directory.toString()).type()).isEqualTo(FileInfo.Type.DIRECTORY);
        assertThat(agent.stat("/dev/null").type()).isEqualTo(FileInfo.Type.OTHER);
    }

    @Test
    void linksAreFollowedToTheirEnd() throws IOException {
        Path real = Files.createDirectory(directory.resolve("real"));
        Files.setPosixFilePermissions(real, PosixFilePermissions.fromString("rwxr-x---"));
        Files.createSymbolicLink(directory.resolve("near"), Path.of("real"));
        Path far = Files.createSymbolicLink(directory.resolve("far"), directory.resolve("real/../near"));
        Path circle = Files.createSymbolicLink(directory.resolve("circle"), Path.of("circle"));
        assertThat(agent.stat(far.toString()).link()).contains(new FileInfo.Link(directory + "/real/../near",
                Optional.of(new FileInfo.Target(real.toRealPath().toString(), FileInfo.Type.DIRECTORY, 0750)), false));
        assertThat(agent.stat(circle.toString()).link())
                .contains(new FileInfo.Link("circle", Optional.empty(), true));
    }

    @Test
    void metadataIsKeptAsAttributesAndReplacedWithTheFile() throws IOException {
        Path file = directory.resolve("file");
        Map<String, String> metadata = Map.of("author", "somebody", "empty", "");
        try (GuestFileWriter writer = agent.write(file.toString(), USER, Optional.empty(), metadata)) {
            assertThat(writer.commit().metadata()).isEqualTo(metadata);
        }
        var attributes = Files.getFileAttributeView(file, UserDefinedFileAttributeView.class);
        assertThat(attributes.list()).containsExactlyInAnyOrder("e2b.author", "e2b.empty");
        attributes.write("other", UTF_8.encode("not metadata"));
        attributes.write("e2b.odd", ByteBuffer.wrap(new byte[] {(byte) 0xff}));
        Path link = Files.createSymbolicLink(directory.resolve("link"), file);
        assertThat(agent.stat(link.toString()).metadata()).isEqualTo(metadata);
        assertThat(agent.list(directory.toString(), 1)).filteredOn(info -> info.path().equals(file.toString()))
                .singleElement().extracting(FileInfo::metadata).isEqualTo(metadata);
        assertThat(agent.move(file.toString(), file + "2", USER).metadata()).isEqualTo(metadata);
        write(directory.resolve("file2"), new byte[1], Optional.empty());
        assertThat(agent.stat(file + "2").metadata()).isEmpty();

        /* Files with two names are written in place, and keep their attributes. */
        try (GuestFileWriter writer = agent.write(file.toString(), USER, Optional.empty(), metadata)) {
            writer.commit();
        }
        Files.createLink(directory.resolve("second"), file);
        write(file, new byte[1], Optional.empty());
        assertThat(agent.stat(file.toString()).metadata()).isEmpty();

        assertFails(Kind.INVALID_ARGUMENT, "file", () -> agent.write(file.toString(), USER, Optional.empty(),
                Map.of("k".repeat(300), "v")));
        assertThat(agent.list(directory.toString(), 1)).noneMatch(info -> info.name().startsWith(".cube-"));
    }

    @Test
    void filesBecomeOne() throws IOException {
        byte[] large = new byte[1_000_000];
        new Random(3).nextBytes(large);
        Path first = Files.write(directory.resolve("first"), large);
        Path second = Files.writeString(directory.resolve("second"), "tail");
        Path whole = directory.resolve("new/whole");
        List<String> sources = List.of(first.toString(), second.toString());
        assertThat(agent.compose(sources, whole.toString(), USER).size()).isEqualTo(1_000_004);
        assertThat(Arrays.copyOf(Files.readAllBytes(whole), large.length)).isEqualTo(large);
        assertThat(first).doesNotExist();
        assertThat(second).doesNotExist();

        assertFails(Kind.NOT_FOUND, first.toString(), () -> agent.compose(sources, whole.toString(), USER));
        assertFails(Kind.INVALID_ARGUMENT, "same as destination",
                () -> agent.compose(List.of(whole.toString()), whole.toString(), USER));
        assertFails(Kind.INVALID_ARGUMENT, "not a regular file",
                () -> agent.compose(List.of(directory.toString()), first.toString(), USER));
        assertFails(Kind.INVALID_ARGUMENT, "1 to 10000", () -> agent.compose(List.of(), first.toString(), USER));
        assertThat(whole).hasSize(1_000_004);
        assertThat(agent.list(directory.toString(), 2)).noneMatch(info -> info.name().startsWith(".cube-"));
    }

    @Test
    void nobodyIsTheDefaultUser() {
        /* This machine may or may not have a user of that name. */
        GuestUser expected;
        try {
            expected = agent.user("user");
        } catch (GuestException e) {
            expected = agent.user("root");
        }
        assertThat(agent.user("")).isEqualTo(expected);
    }

    @Test
    void refusalsHaveTheirKind() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "x");
        String missing = directory.resolve("missing").toString();
        assertFails(Kind.NOT_FOUND, missing, () -> agent.stat(missing));
        assertFails(Kind.NOT_FOUND, missing, () -> agent.read(missing));
        assertFails(Kind.NOT_FOUND, missing, () -> agent.list(missing, 1));
        assertFails(Kind.NOT_FOUND, missing, () -> agent.remove(missing));
        assertFails(Kind.NOT_FOUND, missing, () -> agent.move(missing, file.toString(), USER));
        assertFails(Kind.NOT_A_DIRECTORY, "file", () -> agent.list(file.toString(), 1));
        assertFails(Kind.NOT_A_DIRECTORY, "file", () -> agent.stat(file + "/x"));
        assertFails(Kind.NOT_A_DIRECTORY, "file", () -> agent.makeDirectory(file + "/x", USER));
        assertFails(Kind.ALREADY_EXISTS, "file", () -> agent.makeDirectory(file.toString(), USER));
        assertFails(Kind.IS_A_DIRECTORY, "", () -> agent.read(directory.toString()));
        assertFails(Kind.IS_A_DIRECTORY, "", () -> agent.write(directory.toString(), USER, Optional.empty()));
        assertFails(Kind.INVALID_ARGUMENT, "absolute", () -> agent.stat("relative"));
        assertFails(Kind.INVALID_ARGUMENT, "depth", () -> agent.list(directory.toString(), 0));
        assertFails(Kind.INVALID_ARGUMENT, "longer", () -> agent.stat("/" + "x/".repeat(3000)));
        assertFails(Kind.INVALID_ARGUMENT, "regular", () -> agent.read("/dev/zero"));
        assertFails(Kind.UNKNOWN_USER, "ghost", () -> agent.makeDirectory(missing, "ghost"));
        assertFails(Kind.UNKNOWN_USER, "ghost", () -> agent.user("ghost"));
    }

    @Test
    void directoriesAreMadeMovedListedAndRemoved() throws IOException {
        String base = directory.resolve("tree").toString();
        assertThat(agent.makeDirectory(base + "/a/b/c/", USER).path()).isEqualTo(base + "/a/b/c");
        Files.writeString(Path.of(base, "a/b/file"), "x");
        Files.createSymbolicLink(Path.of(base, "a/loop"), Path.of(".."));
        assertThat(agent.list(base, 1)).extracting(FileInfo::path).containsExactly(base + "/a");
        assertThat(agent.list(base, 64)).extracting(FileInfo::path).containsExactly(base + "/a", base + "/a/b",
                base + "/a/b/c", base + "/a/b/file", base + "/a/loop");
        assertThat(agent.move(base + "/a/b", base + "/new/place/b", USER).path()).isEqualTo(base + "/new/place/b");
        assertThat(agent.list(base, 3)).extracting(FileInfo::name).containsExactly("a", "loop", "new", "place", "b");
        agent.remove(base);
        assertThat(Path.of(base)).doesNotExist();
    }

    @Test
    void removalDoesNotFollowLinksAndGoesDeep() throws IOException {
        Path outside = Files.createDirectory(directory.resolve("outside"));
        Files.writeString(outside.resolve("precious"), "x");
        Path deep = directory.resolve("deep");
        Path at = deep;
        for (int i = 0; i < 150; i++) {
            at = at.resolve("directory-" + i);
        }
        Files.createDirectories(at);
        Files.createSymbolicLink(at.resolve("out"), outside);
        for (int i = 0; i < 300; i++) {
            Files.writeString(deep.resolve("file-" + i), "x");
        }
        agent.remove(deep.toString());
        assertThat(deep).doesNotExist();
        assertThat(outside.resolve("precious")).hasContent("x");
    }

    @Test
    void aLargeDirectoryIsListedUnderCredit() throws IOException {
        Path large = Files.createDirectory(directory.resolve("large"));
        for (int i = 0; i < 5000; i++) {
            Files.createFile(large.resolve("a-file-with-a-long-name-%05d".formatted(i)));
        }
        assertThat(agent.list(large.toString(), 1)).hasSize(5000).extracting(FileInfo::name).isSorted()
                .doesNotHaveDuplicates();
    }

    @Test
    void usersAreLookedUp() {
        assertThat(agent.user("root")).satisfies(root -> {
            assertThat(root.uid()).isZero();
            assertThat(root.home()).startsWith("/");
        });
    }

    @Test
    void metricsAreSane() {
        agent.metrics();
        GuestMetrics metrics = agent.metrics();
        assertThat(metrics.cpuCount()).isEqualTo(Runtime.getRuntime().availableProcessors());
        assertThat(metrics.cpuUsedPercent()).isBetween(0.0, 100.0);
        assertThat(metrics.memoryUsedBytes()).isBetween(1L, metrics.memoryTotalBytes());
        assertThat(metrics.memoryCachedBytes()).isBetween(1L, metrics.memoryTotalBytes());
        assertThat(metrics.diskUsedBytes()).isBetween(1L, metrics.diskTotalBytes());
    }

    // ---- TCP ----

    @Test
    void connectionsPassBytesBothWaysAndHalfClose() throws IOException {
        byte[] content = new byte[2_000_000];
        new Random(3).nextBytes(content);
        for (String address : List.of("127.0.0.1", "::1")) {
            try (ServerSocket server = new ServerSocket()) {
                server.bind(new InetSocketAddress(address, 0));
                Thread echo = Thread.ofVirtual().start(() -> {
                    try (var socket = server.accept()) {
                        byte[] all = socket.getInputStream().readAllBytes();
                        socket.getOutputStream().write(all);
                    } catch (IOException e) {
                        throw new AssertionError(e);
                    }
                });
                try (GuestStream stream = agent.connect(server.getLocalPort())) {
                    stream.output().write(content);
                    stream.output().close();
                    assertThat(stream.input().readAllBytes()).isEqualTo(content);
                }
                await().until(() -> !echo.isAlive());
            }
        }
    }

    @Test
    void aPortWithoutAListenerRefuses() throws IOException {
        int port;
        try (ServerSocket server = new ServerSocket(0)) {
            port = server.getLocalPort();
        }
        assertFails(Kind.CONNECTION_REFUSED, "port " + port, () -> agent.connect(port));
        assertFails(Kind.INVALID_ARGUMENT, "65535", () -> agent.connect(70_000));
    }

    @Test
    void closingAStreamEndsTheConnection() throws IOException {
        try (ServerSocket server = new ServerSocket(0, 5, InetAddress.getByName("127.0.0.1"));
                GuestStream stream = agent.connect(server.getLocalPort()); var accepted = server.accept()) {
            stream.close();
            assertThat(accepted.getInputStream().read()).isEqualTo(-1);
        }
    }

    // ---- connections and epochs ----

    @Test
    void anEpochGivesEnvironmentSeedAndBootId() throws IOException {
        byte[] first = Files.readAllBytes(directory.resolve("epoch"));
        String bootId = Files.readString(directory.resolve("boot_id"));
        assertThat(Files.readString(directory.resolve("environment")).split("\0"))
                .containsExactlyInAnyOrder("COLOUR=blue", "LANG=C.UTF-8");
        agent.close();
        agent = local.connect(new Epoch.Restored("sandbox-2", Map.of("COLOUR", "green")));
        byte[] second = Files.readAllBytes(directory.resolve("epoch"));
        assertThat(second).hasSize(64);
        assertThat(second[0]).isEqualTo((byte) (first[0] + 1));
        assertThat(Arrays.copyOfRange(second, 8, 64)).isNotEqualTo(Arrays.copyOfRange(first, 8, 64));
        assertThat(Files.readString(directory.resolve("environment"))).isEqualTo("COLOUR=green\0");
        assertThat(Files.readString(directory.resolve("boot_id"))).isNotEqualTo(bootId)
                .matches("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n");
        agent.close();
        agent = local.connect(new Epoch.Reattached());
        assertThat(Files.readAllBytes(directory.resolve("epoch"))).isEqualTo(second);
        try (GuestProcess process = agent.start(spec("sh", "-c", "echo $COLOUR $LANG"))) {
            assertThat(finish(process).stdout()).isEqualTo("green\n");
        }
    }

    @Test
    void aLargeEnvironmentIsTaken() {
        agent.close();
        agent = local.connect(new Epoch.Restored("big", Map.of("LARGE", "x".repeat(100_000))));
        try (GuestProcess process = agent.start(spec("sh", "-c", "echo ${#LARGE}"))) {
            assertThat(finish(process).stdout()).isEqualTo("100000\n");
        }
    }

    @Test
    void closingEndsAllThatWaits() {
        GuestProcess process = agent.start(spec("sleep", "1000"));
        Thread.ofVirtual().start(agent::close);
        assertFails(Kind.DISCONNECTED, "closed", process::next);
        assertFails(Kind.DISCONNECTED, "closed", () -> agent.user("root"));
        assertThat(agent.closed().toCompletableFuture()).isCompletedWithValue(
                new Disconnection("the connection was closed", false));
    }

    @Test
    void anInterruptHarmsOnlyTheCall() {
        try (GuestProcess process = agent.start(spec("sleep", "1000"))) {
            Thread.currentThread().interrupt();
            assertFails(Kind.INTERNAL, "interrupted", process::next);
            assertThat(Thread.interrupted()).isTrue();
            assertThat(agent.user("root").uid()).isZero();
            process.signal(9);
        }
    }

    @Test
    void theEndOfTheGuestIsReported() {
        local.close();
        assertThat(agent.closed().toCompletableFuture().join()).satisfies(end -> {
            assertThat(end.reason()).startsWith("the guest is gone");
            assertThat(end.cutOff()).isFalse();
        });
        assertFails(Kind.DISCONNECTED, "no-such-socket", () -> AgentConnection.open(directory.resolve("no-such-socket"),
                new Epoch.Reattached(), LocalAgent.TIMEOUT));
    }
}
