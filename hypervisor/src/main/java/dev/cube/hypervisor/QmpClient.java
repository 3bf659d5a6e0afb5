package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * A QMP connection. Commands may be sent before the answers to earlier ones are there; QEMU executes them in order.
 * Thread-safe. When the connection ends, which it does at the instant at which QEMU does, all that waits fails and
 * {@link #closed} completes.
 */
final class QmpClient implements AutoCloseable {
    /** A line that is longer is none of QEMU's: the longest is a console of 64 KiB, escaped. */
    private static final int MAX_LINE = 4 << 20;
    private static final Duration ANSWER_TIMEOUT = Duration.ofSeconds(60);

    private final SocketChannel channel;
    private final Consumer<QmpEvent> listener;
    /** In the order in which they were sent; QEMU answers in that order. */
    private final Queue<CompletableFuture<JsonNode>> pending = new ConcurrentLinkedQueue<>();
    private final CopyOnWriteArrayList<EventWait> waits = new CopyOnWriteArrayList<>();
    private final ReentrantLock writing = new ReentrantLock();
    /** Its answer is the last to come. Guarded by {@link #writing}. */
    private CompletableFuture<JsonNode> lastSent = CompletableFuture.completedFuture(null);
    private final CompletableFuture<Void> greeted = new CompletableFuture<>();
    private final CompletableFuture<String> closed = new CompletableFuture<>();

    private record EventWait(Predicate<QmpEvent> wanted, CompletableFuture<QmpEvent> result) {}

    private QmpClient(SocketChannel channel, Consumer<QmpEvent> listener) {
        this.channel = channel;
        this.listener = listener;
    }

    /**
     * Connects and negotiates; returns when QEMU takes commands.
     *
     * @param listener is told every event, on the thread that reads, so it must not block
     */
    static QmpClient connect(Path socket, Duration timeout, BooleanSupplier alive, Consumer<QmpEvent> listener)
            throws IOException {
        QmpClient client = new QmpClient(UnixConnection.open(socket, timeout, alive), listener);
        Thread.ofVirtual().name("qmp-" + socket.getParent().getFileName()).start(client::readUntilClosed);
        try {
            await(client.greeted, timeout, "QMP greeting");
            client.execute("qmp_capabilities");
            return client;
        } catch (IOException e) {
            client.close();
            throw e;
        }
    }

    /**
     * Takes over a connection on which another QMP client of the same QEMU has negotiated already.
     *
     * @param listener as of {@link #connect}
     */
    static QmpClient over(SocketChannel channel, String name, Consumer<QmpEvent> listener) {
        QmpClient client = new QmpClient(channel, listener);
        Thread.ofVirtual().name("qmp-" + name).start(client::readUntilClosed);
        return client;
    }

    /** Sends a command; the future fails with a {@link QmpException} that has QEMU's text. */
    CompletableFuture<JsonNode> send(String command, JsonNode arguments) {
        ObjectNode message = QmpMessage.MAPPER.createObjectNode().put("execute", command);
        return send(command, message.<ObjectNode>set("arguments", arguments));
    }

    CompletableFuture<JsonNode> send(String command) {
        return send(command, QmpMessage.MAPPER.createObjectNode().put("execute", command));
    }

    /** What is done while no command is under way. */
    @FunctionalInterface
    interface QuietAction<T> {
        T run() throws IOException;
    }

    /**
     * Does something at a time at which every command has been answered, and has others wait with theirs meanwhile. A QEMU that is
     * forked while it works on a command answers it twice: once itself, and once by its child.
     */
    <T> T whileQuiet(QuietAction<T> action) throws IOException {
        writing.lock();
        try {
            await(lastSent.handle((answer, error) -> null), ANSWER_TIMEOUT, "the command before");
            return action.run();
        } finally {
            writing.unlock();
        }
    }

    private CompletableFuture<JsonNode> send(String command, ObjectNode message) {
        CompletableFuture<JsonNode> result = new CompletableFuture<>();
        writing.lock();
        try {
            byte[] bytes = QmpMessage.MAPPER.writeValueAsBytes(message);
            ByteBuffer buffer = ByteBuffer.allocate(bytes.length + 1).put(bytes).put((byte) '\n').flip();
            pending.add(result);
            lastSent = result;
            while (buffer.hasRemaining()) {
                channel.write(buffer);
            }
        } catch (IOException e) {
            finish("QMP connection lost: " + e.getMessage());
        } finally {
            writing.unlock();
        }
        if (closed.isDone()) {
            failPending();
        }
        return result.exceptionallyCompose(e -> CompletableFuture.failedFuture(
                new QmpException(command + ": " + e.getMessage(), e)));
    }

    JsonNode execute(String command) throws IOException {
        return await(send(command), ANSWER_TIMEOUT, command);
    }

    JsonNode execute(String command, JsonNode arguments) throws IOException {
        return await(send(command, arguments), ANSWER_TIMEOUT, command);
    }

    /** The next event that is wanted, from now on: ask before sending the command that causes it. */
    CompletableFuture<QmpEvent> next(Predicate<QmpEvent> wanted) {
        EventWait wait = new EventWait(wanted, new CompletableFuture<>());
        waits.add(wait);
        wait.result.whenComplete((event, error) -> waits.remove(wait));
        if (closed.isDone()) {
            wait.result.completeExceptionally(new QmpException(closed.join()));
        }
        return wait.result;
    }

    /** Completes with a reason when the connection has ended. */
    CompletableFuture<String> closed() {
        return closed;
    }

    static <T> T await(Future<T> future, Duration timeout, String what) throws IOException {
        try {
            return future.get(timeout.toNanos(), TimeUnit.NANOSECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof IOException io
                    ? new QmpException(io.getMessage(), io) : new QmpException(what + " failed", e.getCause());
        } catch (TimeoutException e) {
            future.cancel(false);
            throw new QmpException(what + ": no answer from QEMU in " + timeout.toSeconds() + " s", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new QmpException(what + ": interrupted", e);
        }
    }

    private void readUntilClosed() {
        String reason = "QEMU closed its QMP connection";
        try {
            readLines();
        } catch (IOException | RuntimeException e) {
            reason = e instanceof QmpException ? e.getMessage() : "QMP connection lost: " + e.getMessage();
        }
        finish(reason);
    }

    private void readLines() throws IOException {
        ByteBuffer chunk = ByteBuffer.allocate(8192);
        byte[] line = new byte[8192];
        int length = 0;
        while (channel.read(chunk.clear()) >= 0) {
            chunk.flip();
            while (chunk.hasRemaining()) {
                byte next = chunk.get();
                if (next == '\n') {
                    dispatch(QmpMessage.parse(line, length));
                    length = 0;
                    continue;
                }
                if (length == line.length) {
                    if (length >= MAX_LINE) {
                        throw new QmpException("QEMU sent a line of more than " + MAX_LINE + " bytes");
                    }
                    line = Arrays.copyOf(line, length * 2);
                }
                line[length++] = next;
            }
            if (length == 0 && line.length > 65536) {
                line = new byte[8192];
            }
        }
    }

    private void dispatch(QmpMessage message) throws QmpException {
        switch (message) {
            case QmpMessage.Greeting() -> greeted.complete(null);
            case QmpMessage.Return(JsonNode value) -> answered().complete(value);
            case QmpMessage.Failure(String description) ->
                answered().completeExceptionally(new QmpException(description));
            case QmpMessage.Event(QmpEvent event) -> {
                listener.accept(event);
                for (EventWait wait : waits) {
                    if (wait.wanted.test(event)) {
                        wait.result.complete(event);
                    }
                }
            }
        }
    }

    /** The command that the next answer is to. */
    private CompletableFuture<JsonNode> answered() throws QmpException {
        CompletableFuture<JsonNode> result = pending.poll();
        if (result == null) {
            throw new QmpException("QEMU answered without having been asked");
        }
        return result;
    }

    private void finish(String reason) {
        closed.complete(reason);
        if (!greeted.isDone()) {
            greeted.completeExceptionally(new QmpException(reason));
        }
        failPending();
        try {
            channel.close();
        } catch (IOException e) {
            // The descriptor is released in any case.
        }
    }

    private void failPending() {
        if (pending.isEmpty() && waits.isEmpty()) {
            return;
        }
        QmpException error = new QmpException(closed.join());
        for (CompletableFuture<JsonNode> result = pending.poll(); result != null; result = pending.poll()) {
            result.completeExceptionally(error);
        }
        waits.forEach(wait -> wait.result.completeExceptionally(error));
    }

    @Override
    public void close() {
        finish("the QMP connection was closed here");
    }
}
