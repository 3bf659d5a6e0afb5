package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;

/**
 * Saves and loads what is not guest memory, through QEMU's migration. The capability {@code x-ignore-shared} leaves
 * shared memory out of the stream, and QEMU believes guest memory to be shared.
 */
final class DeviceState {
    private static final Duration TIMEOUT = Duration.ofSeconds(60);
    /** State of the devices here is some 60 kB; a QEMU that its guest took over must not fill the disk. */
    private static final long MAX_BYTES = 64 << 20;

    private DeviceState() {}

    /** Prepares a QEMU for saving and loading. Answers are not waited for: commands are executed in order. */
    static CompletableFuture<?> enable(QmpClient qmp) {
        ObjectNode capabilities = QmpMessage.MAPPER.createObjectNode();
        capabilities.putArray("capabilities")
                .add(QmpMessage.MAPPER.createObjectNode().put("capability", "x-ignore-shared").put("state", true))
                .add(QmpMessage.MAPPER.createObjectNode().put("capability", "events").put("state", true));
        // Bytes a second. The default of 128 MiB would not be reached, but pauses are computed from it.
        ObjectNode parameters = QmpMessage.MAPPER.createObjectNode().put("max-bandwidth", 10_000_000_000L);
        return CompletableFuture.allOf(
                qmp.send("migrate-set-capabilities", capabilities), qmp.send("migrate-set-parameters", parameters));
    }

    /** Loads the state from a descriptor that is open in QEMU; returns when it is loaded. */
    static void load(QmpClient qmp, int descriptor) throws IOException {
        CompletableFuture<QmpEvent> done = qmp.next(DeviceState::isFinished);
        qmp.execute("migrate-incoming", uri("fd:" + descriptor));
        String status = QmpClient.await(done, TIMEOUT, "loading device state").data().path("status").asText();
        if (!status.equals("completed")) {
            throw new QmpException("loading device state: " + status);
        }
    }

    /** Saves the state of a stopped VM, by way of a socket that is made for it in {@code directory}. */
    static void save(QmpClient qmp, Path directory, Path file) throws IOException {
        Path socket = directory.resolve("state.sock");
        Files.deleteIfExists(socket);
        try (ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            listener.bind(UnixDomainSocketAddress.of(socket));
            CompletableFuture<QmpEvent> done = qmp.next(DeviceState::isFinished);
            // Wakes up the wait for QEMU's connection where that does not come.
            done.whenComplete((event, error) -> {
                if (error != null || !isCompleted(event)) {
                    closeQuietly(listener);
                }
            });
            qmp.execute("migrate", uri("unix:" + socket));
            IOException failure = null;
            try (SocketChannel stream = listener.accept()) {
                receive(stream, file);
            } catch (IOException e) {
                failure = e;
            }
            QmpEvent end = QmpClient.await(done, TIMEOUT, "saving device state");
            if (!isCompleted(end)) {
                String why = qmp.execute("query-migrate").path("error-desc").asText(end.data().path("status").asText());
                throw new QmpException("saving device state: " + why, failure);
            }
            if (failure != null) {
                throw failure;
            }
        } finally {
            Files.deleteIfExists(socket);
        }
    }

    private static void receive(SocketChannel stream, Path file) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(256 * 1024);
        long total = 0;
        try (FileChannel out = FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            while (stream.read(buffer.clear()) >= 0) {
                total += buffer.position();
                if (total > MAX_BYTES) {
                    throw new IOException("QEMU's device state is larger than " + MAX_BYTES + " bytes");
                }
                buffer.flip();
                while (buffer.hasRemaining()) {
                    out.write(buffer);
                }
            }
        }
    }

    private static void closeQuietly(ServerSocketChannel listener) {
        try {
            listener.close();
        } catch (IOException e) {
            // Closing is all that was wanted of it.
        }
    }

    private static boolean isFinished(QmpEvent event) {
        return event.name().equals("MIGRATION") && switch (event.data().path("status").asText()) {
            case "completed", "failed", "cancelled" -> true;
            default -> false;
        };
    }

    private static boolean isCompleted(QmpEvent event) {
        return event.data().path("status").asText().equals("completed");
    }

    private static ObjectNode uri(String uri) {
        return QmpMessage.MAPPER.createObjectNode().put("uri", uri);
    }
}
