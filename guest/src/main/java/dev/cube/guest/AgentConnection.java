package dev.cube.guest;

import dev.cube.guest.GuestException.Kind;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A conversation with the agent of a guest over the unix socket behind its virtio-serial port, in the protocol of
 * {@code docs/guest-protocol.md}. One connection leads to a guest at a time; opening one ends what an earlier host had
 * open there, except processes. What a guest can make the host keep is bounded: by its credit on each channel, by the
 * number of channels, and by limits on answers. Thread-safe.
 */
public final class AgentConnection implements GuestAgent {
    private static final Logger LOG = LoggerFactory.getLogger(AgentConnection.class);
    private static final SecureRandom RANDOM = new SecureRandom();
    private static final int INPUT_CAPACITY = 64 * 1024;
    /** A guest that always has something to say must not keep its thread's carrier from others. */
    private static final int READS_BEFORE_YIELD = 8;
    /**
     * More than an earlier host can have left unread: what the virtio-serial port and the sockets behind it hold, and
     * the frame that the agent was sending. Its other frames the agent drops by itself.
     */
    static final int MAX_LEFT_BYTES = 16 << 20;
    private static final int MAX_LISTED = 100_000;
    private static final int MAX_LISTING_BYTES = 32 << 20;

    private final SocketChannel socket;
    private final Outbox outbox = new Outbox();
    private final ChannelTable channels = new ChannelTable(outbox);
    private final CompletableFuture<Void> established = new CompletableFuture<>();
    private final CompletableFuture<Disconnection> closed = new CompletableFuture<>();
    private final AtomicBoolean ending = new AtomicBoolean();

    private AgentConnection(SocketChannel socket) {
        this.socket = socket;
    }

    /**
     * Connects and returns when the agent has taken up {@code epoch}. A guest that is still booting is waited for.
     *
     * @param socket  as {@code Vm.agentSocket()} has it
     * @param timeout how long to wait for the agent's answer
     * @throws GuestException {@code DISCONNECTED} if there is no socket, or no answer in time, or if the guest breaks
     *                        the protocol and {@link GuestException#isCutOff} tells so
     */
    public static AgentConnection open(Path socket, Epoch epoch, Duration timeout) {
        SocketChannel channel = null;
        try {
            channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            channel.connect(UnixDomainSocketAddress.of(socket));
        } catch (IOException e) {
            closeQuietly(channel);
            throw new GuestException(Kind.DISCONNECTED,
                    "cannot connect to the guest's socket %s: %s".formatted(socket, e.getMessage()), e);
        }
        var connection = new AgentConnection(channel);
        connection.begin(epoch, timeout);
        return connection;
    }

    private void begin(Epoch epoch, Duration timeout) {
        byte[] nonce = new byte[Wire.NONCE_LENGTH];
        RANDOM.nextBytes(nonce);
        Thread.ofVirtual().name("guest-writer").start(this::writeAll);
        Thread.ofVirtual().name("guest-reader").start(() -> readAll(nonce));
        try {
            sendHello(epoch, nonce);
            established.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            String reason = "the guest's agent did not answer within %d ms".formatted(timeout.toMillis());
            end(reason);
            throw new GuestException(Kind.DISCONNECTED, reason, e);
        } catch (ExecutionException e) {
            throw closed.join().exception(e);
        } catch (InterruptedException e) {
            end("interrupted while connecting");
            throw Channel.interrupted(e);
        } catch (GuestException e) {
            end(e.getMessage());
            throw e;
        }
    }

    private void sendHello(Epoch epoch, byte[] nonce) throws InterruptedException {
        outbox.sendRaw(new byte[Wire.PREAMBLE]);
        outbox.sendRaw(Wire.HOST_MAGIC);
        byte[] entropy = new byte[Wire.ENTROPY_LENGTH];
        RANDOM.nextBytes(entropy);
        var hello = new Request().u16(Wire.VERSION).u8(epoch instanceof Epoch.Restored ? 1 : 0).raw(nonce)
                .u64(wallClock()).raw(entropy);
        switch (epoch) {
            case Epoch.Restored(String hostname, Map<String, String> environment) ->
                    variables(hello.string(hostname), environment);
            case Epoch.Reattached() -> hello.string("");
        }
        sendBody(Wire.HELLO, 0, hello.body());
    }

    private static long wallClock() {
        Instant now = Instant.now();
        return now.getEpochSecond() * 1_000_000_000 + now.getNano();
    }

    private static Request variables(Request request, Map<String, String> environment) {
        request.u32(environment.size());
        environment.forEach((name, value) -> {
            if (name.isEmpty() || name.indexOf('=') >= 0) {
                throw new GuestException(Kind.INVALID_ARGUMENT, "'%s' is no name of a variable".formatted(name));
            }
            request.string(name + "=" + value);
        });
        return request;
    }

    private void sendBody(int type, int channel, byte[] body) throws InterruptedException {
        int at = 0;
        do {
            int n = Math.min(Wire.MAX_PAYLOAD_OUT, body.length - at);
            outbox.send(type, at + n < body.length ? Wire.FLAG_MORE : 0, channel, body, at, n);
            at += n;
        } while (at < body.length);
    }

    // ---- threads ----

    private void writeAll() {
        try {
            outbox.run(socket);
        } catch (IOException e) {
            end("the guest is gone: " + describe(e));
        }
    }

    private void readAll(byte[] nonce) {
        ByteBuffer input = ByteBuffer.allocateDirect(INPUT_CAPACITY).order(ByteOrder.LITTLE_ENDIAN);
        var scanner = new AckScanner(nonce);
        boolean found = false;
        long left = 0;
        try {
            for (int reads = 1; socket.read(input) >= 0; reads++) {
                input.flip();
                if (!found) {
                    int before = input.remaining();
                    found = scanner.find(input);
                    left += before - input.remaining();
                    if (left > MAX_LEFT_BYTES) {
                        throw new ProtocolViolation("it talks, but does not answer");
                    }
                }
                if (found) {
                    FrameDecoder.decode(input, this::frame);
                }
                input.compact();
                if (reads % READS_BEFORE_YIELD == 0) {
                    Thread.yield();
                }
            }
            end("the guest is gone");
        } catch (ProtocolViolation e) {
            cutOff(e);
        } catch (IOException e) {
            end("the guest is gone: " + describe(e));
        } catch (RuntimeException e) {
            LOG.error("reading from a guest failed", e);
            end("reading from the guest failed: " + e);
        }
    }

    private static String describe(IOException e) {
        return e instanceof ClosedChannelException ? "the connection was closed" : e.getMessage();
    }

    private void frame(int type, int flags, int id, ByteBuffer payload) {
        if (!established.isDone()) {
            acknowledged(type, payload);
            return;
        }
        switch (type) {
            case Wire.OPENED -> channels.require(id).onOpened(payload);
            case Wire.OUT -> channels.require(id).onData(flags, payload);
            case Wire.EOF -> channels.require(id).onEof();
            case Wire.GRANT -> channels.require(id).onGrant(payload);
            case Wire.CLOSED -> {
                Channel channel = channels.require(id);
                channel.onClosed(payload);
                channels.free(channel);
            }
            default -> throw new ProtocolViolation("frame of unknown type 0x%02x".formatted(type));
        }
    }

    private void acknowledged(int type, ByteBuffer payload) {
        if (type != Wire.HELLO_ACK) {
            throw new ProtocolViolation("frame 0x%02x before HELLO was answered".formatted(type));
        }
        payload.position(Math.min(Wire.NONCE_LENGTH, payload.limit()));
        var reply = new Reply(payload);
        int version = reply.u16();
        if (version != Wire.VERSION) {
            throw new ProtocolViolation("the agent speaks version %d, this host %d: build the template again"
                    .formatted(version, Wire.VERSION));
        }
        /* The time in HELLO is as old as the guest needed to answer: a boot's worth, perhaps. */
        setClock();
        established.complete(null);
    }

    private void cutOff(ProtocolViolation violation) {
        end(new Disconnection("the guest broke the protocol: " + violation.getMessage(), true));
    }

    private void end(String reason) {
        end(new Disconnection(reason, false));
    }

    /** Ends the connection. The first reason is the one that counts: ending it makes others, as of the closed socket. */
    private void end(Disconnection end) {
        if (!ending.compareAndSet(false, true)) {
            return;
        }
        if (end.cutOff()) {
            LOG.warn("guest cut off: {}", end.reason());
        }
        channels.lose(end.reason());
        outbox.close();
        closeQuietly(socket);
        closed.complete(end);
        established.completeExceptionally(end.exception(null));
    }

    private static void closeQuietly(SocketChannel socket) {
        try {
            if (socket != null) {
                socket.close();
            }
        } catch (IOException e) {
            LOG.debug("closing a guest's socket failed", e);
        }
    }

    /** Runs what reads the guest's answers; an answer that is none cuts the guest off. */
    <T> T checked(Supplier<T> reading) {
        try {
            return reading.get();
        } catch (ProtocolViolation e) {
            cutOff(e);
            throw closed.join().exception(e);
        }
    }

    // ---- operations ----

    private Channel request(Operation operation, Request request) {
        byte[] body = request.body();
        Channel channel = channels.open(operation);
        try {
            sendBody(Wire.OPEN, channel.id(), body);
        } catch (InterruptedException e) {
            /* The guest may have half of the request; it drops it with the channel. */
            channel.close();
            throw Channel.interrupted(e);
        }
        return channel;
    }

    private <T> T call(Operation operation, Request request, Function<Reply, T> decode) {
        try (Channel channel = request(operation, request)) {
            return checked(() -> {
                Reply reply = channel.awaitDone();
                T result = decode.apply(reply);
                reply.end();
                return result;
            });
        }
    }

    /** Opens a channel that goes on when this returns. */
    private <T> T opened(Operation operation, Request request, BiFunction<Channel, Reply, T> decode) {
        Channel channel = request(operation, request);
        boolean taken = false;
        try {
            T result = checked(() -> decode.apply(channel, channel.awaitOpened()));
            taken = true;
            return result;
        } finally {
            if (!taken) {
                channel.close();
            }
        }
    }

    private <T> List<T> listed(Operation operation, Request request, Function<Reply, T> decode) {
        try (Channel channel = request(operation, request)) {
            return checked(() -> {
                var listing = new Listing(MAX_LISTED, MAX_LISTING_BYTES);
                while (channel.next() instanceof Channel.Item.Data(int _, byte[] bytes)) {
                    listing.add(bytes);
                }
                return listing.decode(decode);
            });
        }
    }

    @Override
    public GuestProcess start(ProcessSpec spec) {
        Request request = Request.of(Operation.START).string(spec.command()).u32(spec.args().size());
        spec.args().forEach(request::string);
        variables(request, spec.environment());
        int flags = (spec.stdin() ? StartFlags.STDIN : 0) | (spec.pty().isPresent() ? StartFlags.PTY : 0);
        ProcessSpec.PtySize size = spec.pty().orElse(new ProcessSpec.PtySize(0, 0));
        request.u8(flags).u16(size.cols()).u16(size.rows()).string(spec.cwd().orElse("")).string(spec.user())
                .string(spec.tag().orElse("")).u64(spec.timeout().map(Duration::toMillis).orElse(0L));
        return opened(Operation.START, request, this::held);
    }

    @Override
    public GuestProcess attach(int pid) {
        return opened(Operation.ATTACH, Request.of(Operation.ATTACH).u32(pid), this::held);
    }

    private GuestProcess held(Channel channel, Reply reply) {
        int pid = reply.count();
        reply.u8();
        reply.end();
        return new AgentProcess(this, channel, pid);
    }

    @Override
    public List<ProcessInfo> processes() {
        return listed(Operation.PROCESSES, Request.of(Operation.PROCESSES), Reply::process);
    }

    @Override
    public void signal(int pid, int number) {
        call(Operation.SIGNAL, Request.of(Operation.SIGNAL).u32(pid).u32(number), _ -> null);
    }

    void resize(int pid, ProcessSpec.PtySize size) {
        call(Operation.RESIZE, Request.of(Operation.RESIZE).u32(pid).u16(size.cols()).u16(size.rows()), _ -> null);
    }

    @Override
    public GuestUser user(String name) {
        return call(Operation.USER, Request.of(Operation.USER).string(name), Reply::user);
    }

    @Override
    public FileInfo stat(String path) {
        return call(Operation.STAT, Request.of(Operation.STAT).string(path), Reply::fileInfo);
    }

    @Override
    public List<FileInfo> list(String path, int depth) {
        Request request = Request.of(Operation.LIST).string(path).u32(depth);
        var entries = new ArrayList<>(listed(Operation.LIST, request, Reply::fileInfo));
        /* A directory's content follows it at once, before names that its own begins. */
        entries.sort(Comparator.comparing(info -> info.path().replace('/', '\0')));
        return entries;
    }

    @Override
    public FileInfo makeDirectory(String path, String user) {
        Request request = Request.of(Operation.MAKE_DIRECTORY).string(path).string(user);
        return call(Operation.MAKE_DIRECTORY, request, Reply::fileInfo);
    }

    @Override
    public FileInfo move(String from, String to, String user) {
        Request request = Request.of(Operation.MOVE).string(from).string(to).string(user);
        return call(Operation.MOVE, request, Reply::fileInfo);
    }

    @Override
    public void remove(String path) {
        call(Operation.REMOVE, Request.of(Operation.REMOVE).string(path), _ -> null);
    }

    @Override
    public GuestFileReader read(String path) {
        return opened(Operation.READ, Request.of(Operation.READ).string(path),
                (channel, reply) -> new AgentFileReader(this, channel, reply.fileInfo()));
    }

    @Override
    public GuestFileWriter write(String path, String user, Optional<Integer> mode, Map<String, String> metadata) {
        /* All ones: the mode of the file that is replaced, or 0644. */
        Request request = Request.of(Operation.WRITE).string(path).string(user).u32(mode.orElse(-1))
                .u32(metadata.size());
        metadata.forEach((key, value) -> request.string(key).string(value));
        return opened(Operation.WRITE, request, (channel, _) -> new AgentFileWriter(this, channel));
    }

    @Override
    public FileInfo compose(List<String> sources, String destination, String user) {
        Request request = Request.of(Operation.COMPOSE).u32(sources.size());
        sources.forEach(request::string);
        return call(Operation.COMPOSE, request.string(destination).string(user), Reply::fileInfo);
    }

    @Override
    public GuestWatcher watch(String path, Set<GuestWatcher.Option> options) {
        int flags = options.stream().mapToInt(option -> 1 << option.ordinal()).sum();
        return opened(Operation.WATCH, Request.of(Operation.WATCH).string(path).u8(flags),
                (channel, _) -> new AgentWatcher(this, channel));
    }

    @Override
    public GuestStream connect(int port) {
        if (port < 1 || port > 65535) {
            throw new GuestException(Kind.INVALID_ARGUMENT, "port must be 1 to 65535, not %d".formatted(port));
        }
        return opened(Operation.CONNECT, Request.of(Operation.CONNECT).u16(port),
                (channel, _) -> new AgentStream(this, channel));
    }

    @Override
    public GuestMetrics metrics() {
        return call(Operation.METRICS, Request.of(Operation.METRICS), Reply::metrics);
    }

    @Override
    public void setClock() {
        outbox.sendControl(Wire.TIME, 0, new Request().u64(wallClock()).body());
    }

    @Override
    public CompletionStage<Disconnection> closed() {
        return closed.minimalCompletionStage();
    }

    @Override
    public void close() {
        end("the connection was closed");
    }
}
