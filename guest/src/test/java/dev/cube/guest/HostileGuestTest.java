package dev.cube.guest;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.cube.guest.GuestException.Kind;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What a guest can do to the host that speaks with it: be cut off. */
@Timeout(120)
class HostileGuestTest {
    /** The first channel that a connection opens. */
    private static final int FIRST = Wire.CHANNELS;

    @TempDir
    private Path directory;

    private static byte[] grant(int credit) {
        return FakeGuest.frame(Wire.GRANT, 0, FIRST, new Request().u32(credit).body());
    }

    private static void assertCutOff(FakeGuest guest, String reason) {
        Disconnection end = guest.connection().closed().toCompletableFuture().join();
        assertThat(end.reason()).startsWith("the guest broke the protocol").contains(reason);
        assertThat(end.cutOff()).isTrue();
    }

    private static void causedByCutOff(Throwable e) {
        assertThat(e.getCause()).isInstanceOfSatisfying(GuestException.class,
                cause -> assertThat(cause.isCutOff()).isTrue());
    }

    static Stream<Arguments> violations() {
        byte[] unmarked = FakeGuest.frame(Wire.OPENED, 0, FIRST);
        unmarked[unmarked.length - 1] = 0;
        return Stream.of(
                Arguments.of("end marker", unmarked),
                Arguments.of("unknown type 0x00", new byte[100]),
                Arguments.of("unknown type 0x7f", FakeGuest.frame(0x7F, 0, FIRST)),
                Arguments.of("unknown type 0xff", FakeGuest.frame(0xFF, 0, FIRST)),
                Arguments.of("unknown type 0x81", FakeGuest.frame(Wire.HELLO_ACK, 0, 0)),
                Arguments.of("longer than", new byte[] {(byte) Wire.OUT, 0, -1, -1, 0, 0, 0, 0}),
                Arguments.of("not open", FakeGuest.frame(Wire.CLOSED, 0, FIRST + 1, (byte) 0)),
                Arguments.of("not open", FakeGuest.frame(Wire.OUT, 0, 2 * FIRST, (byte) 1)),
                Arguments.of("data out of place", FakeGuest.frame(Wire.OUT, 0, FIRST, (byte) 1)),
                Arguments.of("end of data out of place", FakeGuest.frame(Wire.EOF, 0, FIRST)),
                Arguments.of("known reason", FakeGuest.frame(Wire.CLOSED, 0, FIRST)),
                Arguments.of("known reason", FakeGuest.frame(Wire.CLOSED, 0, FIRST, (byte) 99)),
                Arguments.of("credit for what", grant(1)),
                Arguments.of("credit for what", grant(0)),
                Arguments.of("credit for what", grant(-1)),
                Arguments.of("credit for what", FakeGuest.frame(Wire.GRANT, 0, FIRST, (byte) 1)));
    }

    @ParameterizedTest
    @MethodSource("violations")
    void whatIsOutOfPlaceCutsTheGuestOff(String reason, byte[] bytes) throws IOException {
        try (FakeGuest guest = FakeGuest.start(directory)) {
            Thread caller = Thread.ofVirtual().start(() -> assertThatThrownBy(() -> guest.connection().read("/x"))
                    .isInstanceOf(GuestException.class));
            guest.awaitOpen();
            guest.send(bytes);
            assertCutOff(guest, reason);
            caller.join(Duration.ofSeconds(10));
            assertThat(caller.isAlive()).isFalse();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void dataBeyondItsCreditCutsTheGuestOff() throws IOException {
        try (FakeGuest guest = FakeGuest.start(directory)) {
            CompletableFuture<GuestProcess> starting = CompletableFuture.supplyAsync(() -> guest.connection().attach(1),
                    task -> Thread.ofVirtual().start(task));
            guest.awaitOpen();
            guest.send(FakeGuest.frame(Wire.OPENED, 0, FIRST, new Request().u32(1).u8(0).body()));
            GuestProcess process = starting.join();
            int frames = 0;
            try {
                while (frames < 10_000) {
                    guest.send(FakeGuest.frame(Wire.OUT, 0, FIRST, (byte) 'x'));
                    frames++;
                }
            } catch (IOException e) {
                assertThat(frames).isPositive();
            }
            assertCutOff(guest, "more data than");
            for (int i = 0; i < Wire.WINDOW / (Wire.DATA_OVERHEAD + 1); i++) {
                assertThat(process.next()).isInstanceOf(ProcessEvent.Output.class);
            }
            assertThatThrownBy(process::next).isInstanceOfSatisfying(GuestException.class,
                    e -> assertThat(e.kind()).isEqualTo(Kind.DISCONNECTED));
        }
    }

    @Test
    void anAnswerThatIsCutShortCutsTheGuestOff() throws IOException {
        try (FakeGuest guest = FakeGuest.start(directory)) {
            CompletableFuture<GuestUser> asking = CompletableFuture.supplyAsync(() -> guest.connection().user("root"),
                    task -> Thread.ofVirtual().start(task));
            guest.awaitOpen();
            guest.send(FakeGuest.frame(Wire.CLOSED, 0, FIRST, new Request().u8(0).u32(0).u32(0).u32(99).body()));
            assertThatThrownBy(asking::join).hasMessageContaining("cut short")
                    .satisfies(HostileGuestTest::causedByCutOff);
            assertCutOff(guest, "cut short");
        }
    }

    @Test
    void anEventThatIsNoneCutsTheGuestOff() throws IOException {
        try (FakeGuest guest = FakeGuest.start(directory)) {
            CompletableFuture<GuestWatcher> opening = CompletableFuture.supplyAsync(
                    () -> guest.connection().watch("/", Set.of()), task -> Thread.ofVirtual().start(task));
            guest.awaitOpen();
            guest.send(FakeGuest.frame(Wire.OPENED, 0, FIRST));
            GuestWatcher watcher = opening.join();
            assertThat(watcher.next(Duration.ZERO)).isEmpty();
            guest.send(FakeGuest.frame(Wire.OUT, 0, FIRST, new Request().u8(1).u32(1).u8('x').u8(0).body()));
            assertThat(watcher.next(Duration.ofSeconds(10)))
                    .containsExactly(new FileEvent(FileEvent.Type.CREATE, "x", Optional.empty()));
            guest.send(FakeGuest.frame(Wire.OUT, 0, FIRST, new Request().u8(6).u32(1).u8('x').u8(0).body()));
            assertThatThrownBy(() -> watcher.next(Duration.ofSeconds(10))).hasMessageContaining("file event 6");
            assertCutOff(guest, "file event 6");
        }
    }

    @Test
    void whatAnEarlierHostLeftIsSkipped() throws IOException {
        byte[] left = ("garbage " + new String(Wire.GUEST_MAGIC, UTF_8)).getBytes(UTF_8);
        byte[] large = new byte[300_000];
        System.arraycopy(Wire.GUEST_MAGIC, 0, large, 1000, Wire.GUEST_MAGIC.length);
        System.arraycopy(left, 0, large, large.length - left.length, left.length);
        try (FakeGuest guest = FakeGuest.start(directory, large)) {
            assertThat(guest.connection().closed().toCompletableFuture()).isNotDone();
        }
    }

    @Test
    void aGuestThatTalksButDoesNotAnswerIsCutOff() throws IOException {
        Path path = directory.resolve("flood.sock");
        try (var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(path));
            Thread flood = Thread.ofVirtual().start(() -> {
                try (SocketChannel socket = server.accept()) {
                    ByteBuffer noise = ByteBuffer.allocate(64 * 1024);
                    while (socket.isOpen()) {
                        socket.write(noise.rewind());
                    }
                } catch (IOException e) {
                    // The host has hung up, as it should.
                }
            });
            assertThatThrownBy(() -> AgentConnection.open(path, new Epoch.Reattached(), Duration.ofMinutes(1)))
                    .hasMessageContaining("does not answer").isInstanceOfSatisfying(GuestException.class,
                            e -> assertThat(e.isCutOff()).isTrue());
            flood.join(Duration.ofSeconds(10));
            assertThat(flood.isAlive()).isFalse();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void aGuestThatGreetsInAnotherVersionIsCutOff() {
        assertThatThrownBy(() -> FakeGuest.startWithVersion(directory, Wire.VERSION + 1))
                .satisfies(HostileGuestTest::causedByCutOff).hasMessageContaining("build the template again");
    }

    @Test
    void aSilentGuestIsGivenUp() throws IOException {
        Path path = directory.resolve("silent.sock");
        try (var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(path));
            assertThatThrownBy(() -> AgentConnection.open(path, new Epoch.Reattached(), Duration.ofMillis(50)))
                    .hasMessageContaining("did not answer within 50 ms").isInstanceOfSatisfying(GuestException.class,
                            e -> assertThat(e.isCutOff()).isFalse());
        }
    }
}
