package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;

/** Saves and loads what is not guest memory, in the format of QEMU's migration. */
final class DeviceState {
    private static final Duration TIMEOUT = Duration.ofSeconds(60);
    /** State of the devices here is some 60 kB; a QEMU that its guest took over must not fill the disk. */
    private static final long MAX_BYTES = 64 << 20;
    private static final String SAVED = "state.new";
    private static final FileAttribute<?> OWNER_ONLY =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

    private DeviceState() {}

    /** Has a QEMU tell when it has loaded. */
    static CompletableFuture<?> announce(QmpClient qmp) {
        ObjectNode capabilities = QmpMessage.MAPPER.createObjectNode();
        capabilities.putArray("capabilities").addObject().put("capability", "events").put("state", true);
        return qmp.send("migrate-set-capabilities", capabilities);
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

    /**
     * Saves the state of a stopped VM. Unlike {@code migrate}, which would do as well, the command made for Xen, which has
     * guest memory to itself, takes 3 ms instead of 12: it writes a file by itself and leaves the disks in use, if it is
     * not "live". Otherwise QEMU lets go of them, and aborts when the state is saved once more. What it writes has no
     * configuration section, which QEMU is told not to expect.
     *
     * @param directory QEMU's working directory
     */
    static void save(QmpClient qmp, VmDirectory directory, Path file) throws IOException {
        Path saved = directory.path().resolve(SAVED);
        Files.deleteIfExists(saved);
        // Created here, because QEMU's umask is not ours to know.
        Files.createFile(saved, OWNER_ONLY);
        try {
            qmp.execute("xen-save-devices-state",
                    QmpMessage.MAPPER.createObjectNode().put("filename", SAVED).put("live", false));
        } catch (QmpException e) {
            // QEMU does not say which error it was.
            throw directory.isDiskFull() ? new IOException(e.getMessage() + " (No space left on device)", e) : e;
        }
        if (Files.size(saved) > MAX_BYTES) {
            Files.delete(saved);
            throw new IOException("QEMU's device state is larger than " + MAX_BYTES + " bytes");
        }
        Files.move(saved, file);
    }

    private static boolean isFinished(QmpEvent event) {
        return event.name().equals("MIGRATION") && switch (event.data().path("status").asText()) {
            case "completed", "failed", "cancelled" -> true;
            default -> false;
        };
    }

    private static ObjectNode uri(String uri) {
        return QmpMessage.MAPPER.createObjectNode().put("uri", uri);
    }
}
