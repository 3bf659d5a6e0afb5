package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import dev.cube.cubelet.SandboxException;
import dev.cube.cubelet.SandboxSpec;
import dev.cube.guest.GuestAgent;
import dev.cube.hypervisor.VmShape;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;

/** A sandbox without a VM; its agent never answers unless told so. */
final class FakeSandbox implements Sandbox {
    final CompletableFuture<String> gone = new CompletableFuture<>();
    final CompletableFuture<GuestAgent> agent = new CompletableFuture<>();
    final Map<String, String> environment;
    volatile String console = "";
    volatile Duration processorTime = Duration.ZERO;
    private final String id;

    FakeSandbox(SandboxSpec spec) {
        this(spec.id(), spec.environment());
    }

    FakeSandbox(String id, Map<String, String> environment) {
        this.id = id;
        this.environment = environment;
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
        return "vm-" + id;
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
        return gone.minimalCompletionStage();
    }
}
