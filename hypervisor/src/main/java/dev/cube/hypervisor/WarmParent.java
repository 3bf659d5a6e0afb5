package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A VM that is never handed out: warm, stopped, and forked for every VM that starts in its state. Its disk no longer
 * changes, so that the children's disks are copied ahead of their forks.
 */
final class WarmParent {
    private static final Logger LOG = LoggerFactory.getLogger(WarmParent.class);
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration LOOK_EVERY = Duration.ofMillis(200);
    private static final Duration CONT_TIMEOUT = Duration.ofSeconds(30);
    private static final String QMP = "qmp.sock";
    private static final String AGENT = "agent.sock";
    private static final String CONTROL = "control";

    private final QemuVm vm;
    private final Machine machine;
    private final ImageManifest manifest;
    private final ForkListener listener;
    private final ConcurrentLinkedQueue<VmDirectory> prepared = new ConcurrentLinkedQueue<>();
    private final ReentrantLock forking = new ReentrantLock();
    private final long madeNanos = System.nanoTime();
    private volatile int forks;
    private volatile boolean retired;

    /** @param vm stopped, with no connection to its agent */
    private WarmParent(QemuVm vm, Machine machine, ImageManifest manifest, ForkListener listener) {
        this.vm = vm;
        this.machine = machine;
        this.manifest = manifest;
        this.listener = listener;
    }

    /** Stops a warm VM and makes sure that it can be forked. */
    static WarmParent of(QemuVm vm, Machine machine, ImageManifest manifest, ForkListener listener)
            throws IOException {
        vm.pause();
        String libc = vm.qemu().control().checkFork();
        Optional<String> objection = LiveForkVersions.objection(machine.config().liveFork(), machine.version(), libc);
        if (objection.isPresent()) {
            throw new IOException(objection.get());
        }
        ImageManifest flat = manifest.withMemory(vm.flattenMemory());
        JsonFiles.write(vm.qemu().directory().path().resolve(ImageManifest.FILE), flat);
        return new WarmParent(vm, machine, flat, listener);
    }

    QemuVm vm() {
        return vm;
    }

    boolean isRetired() {
        return retired;
    }

    int forks() {
        return forks;
    }

    Duration age() {
        return Duration.ofNanos(System.nanoTime() - madeNanos);
    }

    /** Prepares directories for children until {@code count} are there. */
    void prepare(int count) throws IOException {
        while (!retired && prepared.size() < count) {
            prepared.add(prepareOne());
        }
        if (retired) {
            discardPrepared();
        }
    }

    private VmDirectory prepareOne() throws IOException {
        VmDirectory child = VmDirectory.create(machine.vms());
        try {
            ImageStore.link(vm.qemu().directory().path(), manifest, child.path());
            Files.copy(vm.qemu().directory().overlay(0), child.overlay(0));
            return child;
        } catch (IOException | RuntimeException e) {
            child.delete();
            throw e;
        }
    }

    /** A running child. Where that fails, nothing is left of it. */
    QemuVm fork(VmOwner owner) throws IOException {
        StopWatch watch = new StopWatch();
        VmDirectory child = prepared.poll();
        if (child == null) {
            child = prepareOne();
        }
        QemuHandle qemu = forkInto(child, watch);
        try {
            QemuVm result = new QemuVm(qemu, vm.shape(), machine, Lineage.of(manifest), owner);
            var running = qemu.qmp().send("cont");
            result.launch();
            watch.lap("record");
            QmpClient.await(running, CONT_TIMEOUT, "cont");
            watch.lap("cont");
            LOG.debug("VM {} runs; ms: {}", result.id(), watch);
            return result;
        } catch (IOException | RuntimeException e) {
            qemu.destroy();
            throw e;
        }
    }

    /** Forks, lets the child run and say that it does, and ends it. */
    void tryFork() throws IOException {
        QemuHandle qemu = forkInto(prepareOne(), new StopWatch());
        try {
            QmpClient.await(qemu.qmp().send("cont"), CONT_TIMEOUT, "cont");
            String status = qemu.qmp().execute("query-status").path("status").asText();
            if (!status.equals("running")) {
                throw new IOException("a forked VM is " + status + ", not running");
            }
        } finally {
            qemu.destroy();
        }
    }

    /** A stopped child. Where that fails, nothing is left of it, nor of its directory. */
    private QemuHandle forkInto(VmDirectory child, StopWatch watch) throws IOException {
        VmDirectory own = vm.qemu().directory();
        ForkRequest request = new ForkRequest(child.path(), listener.socket(), List.of(
                new ForkRequest.File(own.overlay(0), child.overlay(0)),
                new ForkRequest.File(own.log(), child.log()),
                ForkRequest.File.shared(own.memory())), List.of(QMP, AGENT));
        QemuProcess process = null;
        Map<String, SocketChannel> channels = null;
        try (ForkListener.Expected expected = listener.expect(Set.of(QMP, CONTROL))) {
            ForkRequest.Outcome outcome;
            forking.lock();
            try {
                if (retired) {
                    throw new IOException("the parent was retired");
                }
                watch.lap("wait");
                outcome = vm.qemu().control().fork(request, expected.token());
                forks++;
            } finally {
                forking.unlock();
            }
            watch.lap("fork");
            process = QemuProcess.forked(outcome.pid());
            watch.lap("process");
            channels = connections(expected, process);
            watch.lap("connections");
            LOG.debug("forked {}: {}", child.id(), outcome);
        } catch (IOException | RuntimeException e) {
            if (process != null) {
                process.kill();
            }
            String words = child.lastWords();
            child.delete();
            throw new IOException(e.getMessage() + (words.isEmpty() ? "" : "; QEMU said: " + words), e);
        }
        QemuHandle.ShutdownNotes notes = new QemuHandle.ShutdownNotes();
        QmpClient qmp = QmpClient.over(channels.get(QMP), child.id(), notes);
        MemoryControl control = new MemoryControl(channels.get(CONTROL));
        QemuHandle qemu = new QemuHandle(child, process, qmp, control, vm.qemu().memory(), notes);
        try {
            control.adopt();
            return qemu;
        } catch (IOException e) {
            qemu.destroy();
            throw e;
        }
    }

    /** A child that cannot complete ends, and is not waited for any longer. */
    private static Map<String, SocketChannel> connections(ForkListener.Expected expected, QemuProcess child)
            throws IOException {
        long deadline = System.nanoTime() + CONNECT_TIMEOUT.toNanos();
        while (true) {
            Optional<Map<String, SocketChannel>> channels = expected.await(LOOK_EVERY);
            if (channels.isPresent()) {
                return channels.get();
            }
            if (child.hasEnded() || System.nanoTime() > deadline) {
                throw new IOException("a forked QEMU did not connect");
            }
        }
    }

    /** Ends the parent, when no fork is under way. Its children go on. */
    void retire() {
        forking.lock();
        try {
            retired = true;
        } finally {
            forking.unlock();
        }
        vm.kill();
        discardPrepared();
    }

    private void discardPrepared() {
        for (VmDirectory child = prepared.poll(); child != null; child = prepared.poll()) {
            child.delete();
        }
    }
}
