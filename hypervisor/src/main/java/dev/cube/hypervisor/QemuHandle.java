package dev.cube.hypervisor;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;

/**
 * A live QEMU with the connections to it.
 *
 * @param memory where guest memory lies in its address space
 * @param notes  what its events said about its end
 */
record QemuHandle(VmDirectory directory, QemuProcess process, QmpClient qmp, MemoryControl control,
        MemoryControl.Location memory, ShutdownNotes notes) {
    /** A start costs some 30 ms of processor time, so this is for machines under heavy load. */
    private static final Duration START_TIMEOUT = Duration.ofSeconds(30);

    /** Makes up a command line for a VM's directory. */
    @FunctionalInterface
    interface Command {
        List<String> in(VmDirectory directory) throws IOException;
    }

    /** Starts a QEMU in a directory of its own; where that fails, nothing is left. */
    static QemuHandle start(Machine machine, boolean privateMemory, Command command) {
        VmDirectory directory;
        try {
            directory = machine.directories().create();
        } catch (IOException e) {
            throw new HypervisorException("cannot make a directory for a VM: " + e, e);
        }
        QemuProcess process = null;
        try {
            process = QemuProcess.start(command.in(directory), directory, machine.artifacts(),
                    privateMemory, machine.forkable());
            return connect(directory, process);
        } catch (IOException e) {
            if (process != null) {
                process.kill();
            }
            String words = directory.lastWords();
            directory.delete();
            throw new HypervisorException(
                    "QEMU did not start: " + e.getMessage() + (words.isEmpty() ? "" : "; it said: " + words), e);
        } catch (RuntimeException e) {
            if (process != null) {
                process.kill();
            }
            directory.delete();
            throw e;
        }
    }

    /** Connects to a QEMU that runs or is starting. */
    static QemuHandle connect(VmDirectory directory, QemuProcess process) throws IOException {
        ShutdownNotes notes = new ShutdownNotes();
        QmpClient qmp = QmpClient.connect(directory.qmpSocket(), START_TIMEOUT, process::isAlive, notes);
        try {
            MemoryControl control = new MemoryControl(
                    UnixConnection.open(directory.controlSocket(), START_TIMEOUT, process::isAlive));
            return new QemuHandle(directory, process, qmp, control, control.info(), notes);
        } catch (IOException e) {
            qmp.close();
            throw e;
        }
    }

    /** Remembers why a VM ended. */
    static final class ShutdownNotes implements Consumer<QmpEvent> {
        private volatile String reason = "";

        @Override
        public void accept(QmpEvent event) {
            switch (event.name()) {
                case "SHUTDOWN" -> reason = event.data().path("guest").asBoolean()
                        ? "the guest shut down (" + event.data().path("reason").asText() + ")"
                        : "QEMU was told to end (" + event.data().path("reason").asText() + ")";
                case "GUEST_PANICKED" -> reason = "the guest's kernel panicked";
                default -> { }
            }
        }

        String reason() {
            return reason;
        }
    }

    boolean isAlive() {
        return !qmp.closed().isDone() && process.isAlive();
    }

    /** Closes the connections; QEMU goes on. */
    void disconnect() {
        qmp.close();
        try {
            control.close();
        } catch (IOException e) {
            // The descriptor is released in any case.
        }
    }

    /** Ends QEMU and removes its directory. */
    void destroy() {
        process.kill();
        disconnect();
        directory.delete();
    }
}
