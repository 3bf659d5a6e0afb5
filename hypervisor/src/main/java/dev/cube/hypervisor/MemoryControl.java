package dev.cube.hypervisor;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The host's end of the memory library's control socket; the protocol is described in docs/hypervisor.md. Requests are
 * answered in order, so several may be sent before the first answer is read. Thread-safe: who asks waits for what others have asked.
 */
final class MemoryControl implements AutoCloseable {
    private static final int MAGIC = 0x4d454d43;
    private static final short VERSION = 3;
    private static final short OP_INFO = 1;
    private static final short OP_MAP = 2;
    private static final short OP_OPEN = 3;
    private static final short OP_CHECK_FORK = 4;
    private static final short OP_FORK = 5;
    private static final short OP_ADOPT = 6;
    private static final short OP_OWN = 7;
    private static final short OP_SAVE = 8;
    private static final short OP_FORK_RUNNING = 9;
    private static final short OP_ADOPT_HALTING = 10;
    private static final int HEADER_BYTES = 12;
    private static final int EXTENT_BYTES = 32;
    private static final int RUN_BYTES = 16;
    private static final int SAVED_RUN_BYTES = 24;
    private static final int MAX_ANSWER = 4096;
    private static final int FORK_ANSWER_BYTES = 20;
    /** A dozen paths of up to 4096 bytes. */
    private static final int MAX_FORK_REQUEST = 64 * 1024;

    /** A request takes milliseconds; this is for a machine under heavy load. */
    private static final int ANSWER_SECONDS = 60;
    private static final ScheduledThreadPoolExecutor PATIENCE = new ScheduledThreadPoolExecutor(
            1, Thread.ofPlatform().daemon().name("memory-control-patience").factory());

    static {
        PATIENCE.setRemoveOnCancelPolicy(true);
    }

    private final SocketChannel channel;
    private final ReentrantLock exchange = new ReentrantLock();

    MemoryControl(SocketChannel channel) {
        this.channel = channel;
    }

    /** Where guest memory lies in QEMU, and its size in bytes. */
    record Location(long base, long size) {}

    Location info() throws IOException {
        return location(ask(OP_INFO, ByteBuffer.allocate(0)));
    }

    /** Replaces guest memory by the map's content, its files taken relative to {@code directory}. */
    Location map(Path directory, MemoryMap map) throws IOException {
        return location(ask(OP_MAP, mapRequest(directory, map)));
    }

    /**
     * Maps as {@link #map} does and opens a file in QEMU, in one round trip.
     *
     * @return the number of the descriptor in QEMU
     */
    int mapAndOpen(Path directory, MemoryMap map, Path file) throws IOException {
        byte[] path = bytes(file);
        exchange.lock();
        try {
            send(OP_MAP, mapRequest(directory, map));
            send(OP_OPEN, buffer(4 + path.length).putInt(path.length).put(path).flip());
            location(answer());
            return answer().getInt();
        } finally {
            exchange.unlock();
        }
    }

    /**
     * Makes sure that this QEMU can be forked.
     *
     * @return the version of glibc that it runs on
     * @throws IOException saying what live fork relies on and is not so
     */
    String checkFork() throws IOException {
        return StandardCharsets.UTF_8.decode(ask(OP_CHECK_FORK, ByteBuffer.allocate(0))).toString();
    }

    /** Forks the QEMU; the child will connect to the request's host with {@code token}. */
    ForkRequest.Outcome fork(ForkRequest request, byte[] token) throws IOException {
        ByteBuffer payload = buffer(MAX_FORK_REQUEST);
        request.running().ifPresent(running -> {
            Instant written = running.written().toInstant();
            putString(payload, running.disk().toString());
            payload.putLong(written.getEpochSecond()).putInt(written.getNano());
        });
        putString(payload, request.directory().toString());
        putString(payload, request.host().toString());
        payload.put(token).putInt(request.files().size());
        for (ForkRequest.File file : request.files()) {
            putString(payload, file.from().toString());
            putString(payload, file.to().toString());
        }
        payload.putInt(request.sockets().size());
        for (ForkRequest.Socket socket : request.sockets()) {
            putString(payload, socket.path().toString());
            payload.putInt(socket.cut() ? 1 : 0);
        }
        ByteBuffer answer = ask(request.running().isPresent() ? OP_FORK_RUNNING : OP_FORK, payload.flip());
        if (answer.remaining() != FORK_ANSWER_BYTES) {
            throw new IOException("the memory library gave an answer of " + answer.remaining() + " bytes");
        }
        return new ForkRequest.Outcome(
                answer.getInt(), answer.getInt(), answer.getInt(), answer.getInt(), answer.getInt());
    }

    /** Tells a forked QEMU, on its first connection, that it is wanted; one that is not told ends with the connection. */
    void adopt() throws IOException {
        tell(OP_ADOPT);
    }

    /** As {@link #adopt}, one whose machine runs and will be told to stop: its processors stand still until then. */
    void adoptHalting() throws IOException {
        tell(OP_ADOPT_HALTING);
    }

    private void tell(short operation) throws IOException {
        exchange.lock();
        try {
            send(operation, ByteBuffer.allocate(0));
        } finally {
            exchange.unlock();
        }
    }

    /**
     * Gives a stopped QEMU, which was forked, pages of its own where it shares them with its parent.
     *
     * @param runs of pages in its address space; those that are not there are passed over
     */
    void own(List<PageRun> runs) throws IOException {
        ByteBuffer payload = buffer(4 + runs.size() * RUN_BYTES).putInt(runs.size());
        runs.forEach(run -> payload.putLong(run.offset()).putLong(run.length()));
        ask(OP_OWN, payload.flip());
    }

    /**
     * Has a stopped QEMU write pages of its guest into a file that is there, one after the other.
     *
     * @param file         absolute
     * @param position     in the file
     * @param smallestHole fewer bytes of zeros are never left out; at least {@link MemoryCopy#SMALLEST_HOLE}
     * @param runs         in order; 16 MiB together at most
     * @return the zeros that were left out, in order
     */
    List<PageRun> save(Path file, long position, long smallestHole, List<SavedRun> runs) throws IOException {
        byte[] path = bytes(file);
        ByteBuffer payload = buffer(4 + path.length + 4 + 8 + 8 + 4 + runs.size() * SAVED_RUN_BYTES);
        payload.putInt(path.length).put(path).putInt(0).putLong(position).putLong(smallestHole).putInt(runs.size());
        for (SavedRun run : runs) {
            payload.putLong(run.run().offset()).putLong(run.run().length()).putInt(run.withoutZeros() ? 1 : 0).putInt(0);
        }
        ByteBuffer answer = ask(OP_SAVE, payload.flip());
        List<PageRun> holes = new ArrayList<>();
        while (answer.hasRemaining()) {
            holes.add(new PageRun(answer.getLong(), answer.getLong()));
        }
        return holes;
    }

    private static void putString(ByteBuffer target, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        target.putInt(bytes.length).put(bytes);
    }

    private static ByteBuffer mapRequest(Path directory, MemoryMap map) {
        byte[][] paths = map.files().stream().map(name -> bytes(directory.resolve(name))).toArray(byte[][]::new);
        int length = 8 + map.extents().size() * EXTENT_BYTES;
        for (byte[] path : paths) {
            length += 4 + path.length;
        }
        ByteBuffer payload = buffer(length).putInt(paths.length).putInt(map.extents().size());
        for (byte[] path : paths) {
            payload.putInt(path.length).put(path);
        }
        for (Extent e : map.extents()) {
            payload.putLong(e.guestOffset()).putLong(e.length()).putLong(e.fileOffset()).putInt(e.file()).putInt(0);
        }
        return payload.flip();
    }

    private ByteBuffer ask(short operation, ByteBuffer payload) throws IOException {
        exchange.lock();
        try {
            send(operation, payload);
            return answer();
        } finally {
            exchange.unlock();
        }
    }

    private void send(short operation, ByteBuffer payload) throws IOException {
        ByteBuffer message = buffer(HEADER_BYTES + payload.remaining());
        message.putInt(MAGIC).putShort(VERSION).putShort(operation).putInt(payload.remaining()).put(payload).flip();
        while (message.hasRemaining()) {
            channel.write(message);
        }
    }

    /** Closes the connection if the library stays silent: a thread that reads cannot be told to stop in any other way. */
    private ByteBuffer answer() throws IOException {
        Future<?> giveUp = PATIENCE.schedule(this::closeQuietly, ANSWER_SECONDS, TimeUnit.SECONDS);
        try {
            return readAnswer();
        } catch (ClosedChannelException e) {
            throw new IOException("the memory library gave no answer in %d s, or its connection was closed here"
                    .formatted(ANSWER_SECONDS), e);
        } finally {
            giveUp.cancel(false);
        }
    }

    private void closeQuietly() {
        try {
            channel.close();
        } catch (IOException e) {
            // The descriptor is released in any case.
        }
    }

    private ByteBuffer readAnswer() throws IOException {
        ByteBuffer header = read(HEADER_BYTES);
        int magic = header.getInt();
        int version = header.getShort();
        int status = header.getShort();
        int length = header.getInt();
        if (magic != MAGIC || version != VERSION || length < 0 || length > MAX_ANSWER) {
            throw new IOException("the memory library answered with something else than version " + VERSION
                    + " of its protocol; is libcubemem.so of this release?");
        }
        ByteBuffer payload = read(length);
        if (status != 0) {
            throw new IOException(
                    "memory library: " + StandardCharsets.UTF_8.decode(payload) + " (errno " + status + ")");
        }
        return payload;
    }

    private ByteBuffer read(int length) throws IOException {
        ByteBuffer result = buffer(length);
        while (result.hasRemaining()) {
            if (channel.read(result) < 0) {
                throw new EOFException("the memory library closed the connection");
            }
        }
        return result.flip();
    }

    private static Location location(ByteBuffer answer) throws IOException {
        if (answer.remaining() != 16) {
            throw new IOException("the memory library gave an answer of " + answer.remaining() + " bytes");
        }
        return new Location(answer.getLong(), answer.getLong());
    }

    private static byte[] bytes(Path path) {
        return path.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static ByteBuffer buffer(int length) {
        return ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
