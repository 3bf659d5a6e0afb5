package dev.cube.cubelet;

import dev.cube.guest.Disconnection;
import dev.cube.guest.Epoch;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.hypervisor.FrozenVm;
import dev.cube.hypervisor.HypervisorException;
import dev.cube.hypervisor.Vm;
import dev.cube.hypervisor.VmExit;
import dev.cube.hypervisor.VmImage;
import dev.cube.hypervisor.VmShape;
import dev.cube.hypervisor.VmSnapshot;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A VM of this machine and the connection to its agent. The VM of a guest that breaks the protocol is ended at once.
 * A connection that merely breaks although the VM lives is made anew once; if that one breaks soon too, the guest is
 * taken to be broken or hostile as well.
 */
final class LocalSandbox implements Sandbox {
    private static final Logger LOG = LoggerFactory.getLogger(LocalSandbox.class);
    /** A second break within this time ends the sandbox. */
    private static final Duration RECONNECT_INTERVAL = Duration.ofMinutes(1);
    /** A guest may hold up its own pause for so long. */
    private static final Duration SYNC_PATIENCE = Duration.ofSeconds(30);
    private static final String STOPPING = "The server is being stopped";

    private final String id;
    private final Vm vm;
    private final AgentConnector connector;
    private final Duration agentTimeout;
    private final Consumer<LocalSandbox> left;
    private final CompletableFuture<String> gone = new CompletableFuture<>();
    private final ReentrantLock lock = new ReentrantLock();
    private CompletableFuture<GuestAgent> agent = new CompletableFuture<>();
    private boolean ended;
    private boolean released;
    /** Whether the VM's end is not to be taken for the sandbox's death: it is being written out, or has been. */
    private boolean suspending;
    private boolean reconnected;
    private long reconnectedAtNanos;

    /** @param left called once, when the sandbox has ended and before {@link #gone} tells of it */
    LocalSandbox(String id, Vm vm, AgentConnector connector, Duration agentTimeout, Consumer<LocalSandbox> left) {
        this.id = id;
        this.vm = vm;
        this.connector = connector;
        this.agentTimeout = agentTimeout;
        this.left = left;
    }

    /** Starts the conversation in the background; {@code settled} is called when it is under way or has failed. */
    void open(Epoch epoch, Runnable settled) {
        vm.exit().thenAccept(exit -> Thread.startVirtualThread(() -> died(exit)));
        Thread.ofVirtual().name("agent-" + id).start(() -> {
            try {
                connectTwice(epoch);
            } finally {
                settled.run();
            }
        });
    }

    @Override
    public String id() {
        return id;
    }

    @Override
    public VmShape shape() {
        return vm.shape();
    }

    @Override
    public String vmId() {
        return vm.id();
    }

    @Override
    public Duration processorTime() {
        return ProcessHandle.of(vm.pid()).flatMap(process -> process.info().totalCpuDuration()).orElse(Duration.ZERO);
    }

    @Override
    public String console() {
        return vm.console();
    }

    @Override
    public GuestAgent agent() {
        try {
            return current().join();
        } catch (CompletionException e) {
            throw e.getCause() instanceof SandboxException known
                    ? new SandboxException(known.kind(), known.getMessage(), known) : e;
        }
    }

    @Override
    public CompletionStage<String> gone() {
        return gone.minimalCompletionStage();
    }

    private void died(VmExit exit) {
        lock.lock();
        try {
            if (suspending) {
                return;
            }
        } finally {
            lock.unlock();
        }
        end(VmEnd.describe(exit));
    }

    VmSnapshot snapshot(Path directory) {
        return standingStill(() -> vm.snapshot(directory));
    }

    FrozenVm freeze(int copies) {
        return standingStill(() -> vm.freeze(copies));
    }

    /** Captures the VM. If it had to be stopped for that, its clock has lost that time when it goes on. */
    private <T> T standingStill(Supplier<T> capture) {
        try {
            return capture.get();
        } catch (HypervisorException e) {
            throw captureFailed(e);
        } finally {
            GuestAgent connected = current().exceptionally(failure -> null).getNow(null);
            if (connected != null) {
                connected.setClock();
            }
        }
    }

    private SandboxException captureFailed(HypervisorException e) {
        return VmEnd.soonOf(vm).map(exit -> new SandboxException(SandboxException.Kind.NOT_FOUND,
                        "Sandbox %s is gone: %s".formatted(id, VmEnd.describe(exit)), e))
                .orElseGet(() -> new SandboxException(SandboxException.Kind.FAILED,
                        "The sandbox's state could not be captured: " + e.getMessage(), e));
    }

    /**
     * Writes the VM out and ends it. Its agent's connection is closed first, since what is sent while the VM is captured
     * could be a part of the image. Where this fails the VM goes on with a new connection.
     */
    VmImage suspend(Path directory, boolean keepMemory) {
        if (!keepMemory && !GuestDisk.sync(agent(), SYNC_PATIENCE)) {
            LOG.warn("sandbox {}: its sync failed; what it has not written to its disk by itself is lost", id);
        }
        takeConnection().close();
        VmImage image;
        try {
            image = vm.suspend(directory, keepMemory);
        } catch (HypervisorException e) {
            SandboxException failure = captureFailed(e);
            goOn();
            throw failure;
        } catch (RuntimeException e) {
            goOn();
            throw e;
        }
        if (!retired("it was paused")) {
            throw new SandboxException(SandboxException.Kind.NOT_FOUND, "Sandbox %s is gone".formatted(id));
        }
        return image;
    }

    /** The connection to the agent, whose end is nobody's business any more: it will be closed. */
    private GuestAgent takeConnection() {
        while (true) {
            GuestAgent connected = agent();
            lock.lock();
            try {
                // Otherwise it broke at this moment, and is made anew or is reported by the next turn.
                if (agent.getNow(null) == connected) {
                    suspending = true;
                    agent = new CompletableFuture<>();
                    return connected;
                }
            } catch (CompletionException e) {
                // Reported by the next turn.
            } finally {
                lock.unlock();
            }
        }
    }

    private void goOn() {
        lock.lock();
        try {
            suspending = false;
        } finally {
            lock.unlock();
        }
        Optional<VmExit> end = Optional.ofNullable(vm.exit().toCompletableFuture().getNow(null));
        if (end.isPresent()) {
            end(VmEnd.describe(end.get()));
        } else {
            Thread.ofVirtual().name("agent-" + id).start(() ->
                    connectOrEnd(new Epoch.Reattached(), "its agent did not answer after it could not be paused"));
        }
    }

    /** Ends the VM in the background, and the connection to it at once. */
    void retire(String reason) {
        if (retired(reason)) {
            Thread.ofVirtual().name("retire-" + id).start(vm::kill);
        }
    }

    private boolean retired(String reason) {
        CompletableFuture<GuestAgent> last;
        String message = "Sandbox %s is gone: %s".formatted(id, reason);
        lock.lock();
        try {
            if (ended) {
                return false;
            }
            ended = true;
            last = agent;
            agent = noAgent(SandboxException.Kind.NOT_FOUND, message);
        } finally {
            lock.unlock();
        }
        abandon(last, message);
        tell(reason);
        return true;
    }

    private CompletableFuture<GuestAgent> current() {
        lock.lock();
        try {
            return agent;
        } finally {
            lock.unlock();
        }
    }

    /** Ends the VM and then reports the first reason given. */
    void end(String reason) {
        CompletableFuture<GuestAgent> last;
        lock.lock();
        try {
            if (ended) {
                return;
            }
            ended = true;
            last = agent;
            agent = noAgent(SandboxException.Kind.NOT_FOUND, "Sandbox %s is gone: %s".formatted(id, reason));
        } finally {
            lock.unlock();
        }
        try {
            vm.kill();
        } finally {
            abandon(last, "Sandbox %s is gone: %s".formatted(id, reason));
            tell(reason);
        }
    }

    private void tell(String reason) {
        left.accept(this);
        gone.complete(reason);
    }

    /** Lets go of the VM, which runs on. */
    void release() {
        CompletableFuture<GuestAgent> last;
        lock.lock();
        try {
            released = true;
            last = agent;
            agent = noAgent(SandboxException.Kind.FAILED, STOPPING);
        } finally {
            lock.unlock();
        }
        abandon(last, STOPPING);
    }

    private static CompletableFuture<GuestAgent> noAgent(SandboxException.Kind kind, String message) {
        return CompletableFuture.failedFuture(new SandboxException(kind, message));
    }

    private static void abandon(CompletableFuture<GuestAgent> agent, String message) {
        if (!agent.completeExceptionally(new SandboxException(SandboxException.Kind.NOT_FOUND, message))
                && !agent.isCompletedExceptionally()) {
            agent.join().close();
        }
    }

    private void connectTwice(Epoch epoch) {
        connectOr(epoch, failure -> {
            LOG.warn("sandbox {}: its agent did not answer, trying once more: {}", id, failure.getMessage());
            connectOrEnd(epoch, "its agent did not answer");
        });
    }

    private void connectOrEnd(Epoch epoch, String complaint) {
        connectOr(epoch, failure -> endFor(complaint + ": " + failure.getMessage()));
    }

    private void connectOr(Epoch epoch, Consumer<GuestException> otherwise) {
        try {
            connect(epoch);
        } catch (GuestException e) {
            if (e.isCutOff()) {
                end(e.getMessage());
            } else if (!over()) {
                otherwise.accept(e);
            }
        }
    }

    /** Ends the sandbox, which is to be complained of unless its VM's death explains it. */
    private void endFor(String complaint) {
        end(VmEnd.soonOf(vm).map(VmEnd::describe).orElse(complaint));
    }

    private void connect(Epoch epoch) {
        GuestAgent connected = connector.connect(vm.agentSocket(), epoch, agentTimeout);
        boolean taken;
        lock.lock();
        try {
            taken = !over() && agent.complete(connected);
        } finally {
            lock.unlock();
        }
        if (taken) {
            connected.closed().thenAccept(end -> broken(connected, end));
        } else {
            connected.close();
        }
    }

    private void broken(GuestAgent lost, Disconnection end) {
        boolean again;
        lock.lock();
        try {
            if (over() || agent.getNow(null) != lost) {
                return;
            }
            again = !reconnected || System.nanoTime() - reconnectedAtNanos > RECONNECT_INTERVAL.toNanos();
            reconnected = true;
            reconnectedAtNanos = System.nanoTime();
            agent = new CompletableFuture<>();
        } finally {
            lock.unlock();
        }
        Thread.ofVirtual().name("agent-" + id).start(() -> {
            String complaint = "its agent's connection broke: " + end.reason();
            if (end.cutOff()) {
                end(end.reason());
            } else if (again) {
                connectOrEnd(new Epoch.Reattached(), complaint);
            } else {
                endFor(complaint);
            }
        });
    }

    private boolean over() {
        lock.lock();
        try {
            return ended || released;
        } finally {
            lock.unlock();
        }
    }
}
