package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import dev.cube.cubelet.SandboxException;
import dev.cube.guest.GuestAgent;
import dev.cube.hypervisor.VmShape;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;

/** A sandbox without a VM; its agent never answers unless told so. Its memory is a text. */
final class FakeSandbox implements Sandbox {
    final CompletableFuture<String> gone = new CompletableFuture<>();
    final CompletableFuture<GuestAgent> agent = new CompletableFuture<>();
    final Map<String, String> environment;
    volatile String console = "";
    volatile Duration processorTime = Duration.ZERO;
    volatile String memory;
    /** Run when somebody begins to watch for the end. */
    volatile Runnable whenWatched = () -> { };
    private final String id;
    private final String vmId;

    FakeSandbox(String id, String vmId, Map<String, String> environment, String memory) {
        this.id = id;
        this.vmId = vmId;
        this.environment = environment;
        this.memory = memory;
    }

    /** The same VM, connected to anew. */
    FakeSandbox again() {
        return new FakeSandbox(id, vmId, environment, memory);
    }

    @Override
    public String id() {
        return id;
    }

    @Override
    public VmShape shape() {
        return VmShape.DEFAULT;
    }

    @Override
    public String vmId() {
        return vmId;
    }

    @Override
    public Duration processorTime() {
        return processorTime;
    }

    @Override
    public String console() {
        return console;
    }

    @Override
    public GuestAgent agent() {
        agent.applyToEither(gone.thenApply(reason -> (GuestAgent) null), found -> found).join();
        if (gone.isDone()) {
            throw new SandboxException(SandboxException.Kind.NOT_FOUND, "gone");
        }
        return agent.join();
    }

    @Override
    public CompletionStage<String> gone() {
        whenWatched.run();
        return gone.minimalCompletionStage();
    }
}
