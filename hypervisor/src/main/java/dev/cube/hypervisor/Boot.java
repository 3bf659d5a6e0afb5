package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Cold boots. A boot has succeeded when something in the guest opens the agent's port. */
final class Boot {
    private static final Logger LOG = LoggerFactory.getLogger(Boot.class);
    private static final int ATTEMPTS = 3;
    private static final int CONSOLE_LINES = 5;

    private final Machine machine;
    private final BootPatience patience;

    Boot(Machine machine, BootPatience patience) {
        this.machine = machine;
        this.patience = patience;
    }

    /** Links the files of a guest's disks into its VM's directory, where they may be already. */
    @FunctionalInterface
    interface Disks {
        Lineage link(VmDirectory directory) throws IOException;
    }

    QemuVm boot(VmShape shape, Disks disks, VmOwner owner) {
        HypervisorException last = null;
        for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
            try {
                return attempt(shape, disks, owner);
            } catch (BootHangException e) {
                last = e;
                LOG.warn("boot attempt {} of {}: {}", attempt, ATTEMPTS, e.getMessage());
            }
        }
        throw last;
    }

    /** The guest makes no progress; another attempt may. */
    private static final class BootHangException extends HypervisorException {
        private static final long serialVersionUID = 1L;

        BootHangException(String message) {
            super(message);
        }
    }

    private QemuVm attempt(VmShape shape, Disks disks, VmOwner owner) {
        QemuHandle qemu = QemuHandle.start(machine, false, directory -> command(shape, disks, directory));
        boolean booted = false;
        try {
            CompletableFuture<QmpEvent> ready = qemu.qmp().next(
                    event -> isAgentPortOpened(event) || event.name().equals("SHUTDOWN"));
            // A guest that gives up while it boots is kept until what it printed has been read.
            qemu.qmp().execute("set-action", onShutdown("pause"));
            qemu.qmp().execute("cont");
            awaitAgent(qemu, ready, shape);
            qemu.qmp().execute("set-action", onShutdown("poweroff"));
            QemuVm vm = new QemuVm(qemu, shape, machine, disks.link(qemu.directory()), owner);
            vm.launch();
            booted = true;
            return vm;
        } catch (IOException e) {
            throw new HypervisorException("boot failed: " + e.getMessage() + lastWords(qemu), e);
        } finally {
            if (!booted) {
                qemu.destroy();
            }
        }
    }

    /** The disks of a template that is being made. */
    static Disks of(BootSpec spec) {
        return directory -> Lineage.booted(
                ImageStore.adopt(spec.baseDisk().toAbsolutePath(), ImageManifest.BASE_DISK, directory.path()),
                ImageStore.adopt(spec.writableDisk().toAbsolutePath(), ImageManifest.WRITABLE_DISK, directory.path()));
    }

    /** Those of an image, without its memory. */
    static Disks of(Path image, ImageManifest manifest) {
        return directory -> {
            ImageStore.linkDisks(image, manifest, directory.path());
            return new Lineage(Optional.empty(), manifest.baseDisk(), manifest.writableDisk());
        };
    }

    private List<String> command(VmShape shape, Disks disks, VmDirectory directory) throws IOException {
        Lineage lineage = disks.link(directory);
        Qcow2Overlay.create(directory.overlay(0), directory.path(), lineage.writableDisk().getLast());
        List<String> nodes = List.of(
                BlockNodes.base(lineage.baseDisk()).toString(),
                BlockNodes.overlay(0, directory.overlay(0).getFileName().toString()).toString());
        return machine.command().boot(directory, shape, machine.artifacts(), machine.kernelArguments(), nodes,
                BlockNodes.BASE_FILE, BlockNodes.overlayNode(0));
    }

    private void awaitAgent(QemuHandle qemu, CompletableFuture<QmpEvent> ready, VmShape shape) throws IOException {
        BootPatience.Watch watch = patience.watch(shape);
        while (true) {
            try {
                QmpEvent event = ready.get(patience.interval().toMillis(), TimeUnit.MILLISECONDS);
                if (isAgentPortOpened(event)) {
                    return;
                }
                throw new IOException(qemu.notes().reason() + console(qemu));
            } catch (ExecutionException e) {
                throw new IOException(endReason(qemu, e), e);
            } catch (TimeoutException e) {
                String hang = watch.problem(qemu.process().cpuTime());
                if (hang != null) {
                    throw new BootHangException("the guest " + hang + console(qemu));
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted", e);
            }
        }
    }

    private static String endReason(QemuHandle qemu, ExecutionException e) {
        String shutdown = qemu.notes().reason();
        return shutdown.isEmpty() ? e.getCause().getMessage() : shutdown;
    }

    private static String console(QemuHandle qemu) throws IOException {
        List<String> lines = Console.read(qemu.qmp()).lines().filter(line -> !line.isBlank()).toList();
        return lines.isEmpty()
                ? "; it printed nothing"
                : "; it printed last: "
                        + String.join("; ", lines.subList(Math.max(0, lines.size() - CONSOLE_LINES), lines.size()));
    }

    private static String lastWords(QemuHandle qemu) {
        String words = qemu.directory().lastWords();
        return words.isEmpty() ? "" : "; QEMU said: " + words;
    }

    private static ObjectNode onShutdown(String action) {
        return QmpMessage.MAPPER.createObjectNode().put("shutdown", action);
    }

    static boolean isAgentPortOpened(QmpEvent event) {
        return event.name().equals("VSERPORT_CHANGE")
                && event.data().path("id").asText().equals(QemuCommand.AGENT_DEVICE)
                && event.data().path("open").asBoolean();
    }

}
