package dev.cube.master;

import dev.cube.cubelet.Cubelet;
import dev.cube.cubelet.FrozenSandbox;
import dev.cube.cubelet.RebootSpec;
import dev.cube.cubelet.Replacement;
import dev.cube.cubelet.RunningSandbox;
import dev.cube.cubelet.Sandbox;
import dev.cube.cubelet.SandboxException;
import dev.cube.cubelet.SandboxSpec;
import dev.cube.cubelet.Template;
import dev.cube.cubelet.TemplateBuilder;
import dev.cube.hypervisor.VmImage;
import dev.cube.hypervisor.VmShape;
import dev.cube.hypervisor.VmSnapshot;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A node without a hypervisor. It outlives the masters of a test as a machine outlives its servers: what it runs is
 * found again by {@link #recover}. Templates are directories with one file; images are directories with the memory's text.
 */
final class FakeCubelet implements Cubelet {
    /** What building a template does, after its directory was made. */
    interface Build {
        void run(TemplateBuilder.Request request, Consumer<String> log) throws InterruptedException;
    }

    /** Where something can be made to happen. */
    enum Step { VM_STARTED, IMAGE_WRITTEN, VM_SUSPENDED, REPLACEMENT_RECORDED, DISCARDING }

    /** The server ends where this is thrown: nobody handles it. */
    static final class ServerEnds extends Error {}

    /** What runs on the machine, by VM. */
    final Map<String, FakeSandbox> vms = new ConcurrentHashMap<>();
    /** What the server knows of it, by sandbox. */
    final Map<String, FakeSandbox> running = new ConcurrentHashMap<>();
    final List<RunningSandbox> expected = new CopyOnWriteArrayList<>();
    /** Completes the snapshots that are taken from now on. */
    volatile CompletableFuture<Void> durable = CompletableFuture.completedFuture(null);
    /** Completes with the reason when the holders of the snapshots taken from now on die. */
    volatile CompletableFuture<String> holderDied = new CompletableFuture<>();
    volatile Build build = (request, log) -> log.accept("made");
    /** As {@link FakeSandbox#whenWatched}, for the sandboxes that are recovered. */
    volatile Runnable whenRecoveredIsWatched = () -> { };
    volatile SandboxException createFailure;
    volatile SandboxException deleteFailure;
    volatile SandboxException captureFailure;
    /** How many more sandboxes the node takes. */
    final AtomicInteger places = new AtomicInteger(Integer.MAX_VALUE);
    /** Run at these steps; {@link ServerEnds} ends the server there. */
    final Map<Step, Runnable> at = new ConcurrentHashMap<>();
    private final AtomicInteger numbers = new AtomicInteger();
    /** Nothing is done for a server that has ended. */
    private volatile boolean serverEnded;

    @Override
    public Sandbox create(SandboxSpec spec) {
        return start(spec.id(), spec.environment(), memoryOf(spec.image()));
    }

    private FakeSandbox start(String id, Map<String, String> environment, String memory) {
        if (places.getAndDecrement() <= 0) {
            throw MasterTest.noCapacity();
        }
        FakeSandbox sandbox = startVm(id, environment, memory);
        running.put(id, sandbox);
        return sandbox;
    }

    private FakeSandbox startVm(String id, Map<String, String> environment, String memory) {
        if (serverEnded) {
            throw new ServerEnds();
        }
        if (createFailure != null) {
            throw createFailure;
        }
        var sandbox = new FakeSandbox(id, "vm-" + numbers.incrementAndGet(), environment, memory);
        vms.put(sandbox.vmId(), sandbox);
        reach(Step.VM_STARTED);
        return sandbox;
    }

    private void reach(Step step) {
        try {
            at.getOrDefault(step, () -> { }).run();
        } catch (ServerEnds e) {
            serverEnded = true;
            throw e;
        }
    }

    private static String memoryOf(VmImage image) {
        if (!Files.isDirectory(image.directory())) {
            throw new SandboxException(SandboxException.Kind.FAILED, "the image's files are gone");
        }
        try {
            Path memory = image.directory().resolve("memory");
            return Files.exists(memory) ? Files.readString(memory) : "fresh";
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private VmImage write(FakeSandbox sandbox, Path directory) {
        if (captureFailure != null) {
            throw captureFailure;
        }
        try {
            Files.createDirectory(directory);
            Files.writeString(directory.resolve("memory"), sandbox.memory);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        reach(Step.IMAGE_WRITTEN);
        return image(directory);
    }

    private static VmImage image(Path directory) {
        return new VmImage(directory, VmShape.DEFAULT, directory.resolve("base"), "fake");
    }

    private FakeSandbox require(String id) {
        FakeSandbox sandbox = running.get(id);
        if (sandbox == null) {
            throw new SandboxException(SandboxException.Kind.NOT_FOUND, "Sandbox " + id + " is gone");
        }
        return sandbox;
    }

    @Override
    public VmSnapshot snapshot(String id, Path directory) {
        return snapshot(write(require(id), directory));
    }

    /** The next attempt to write it is what {@link #durable} is then. */
    private VmSnapshot snapshot(VmImage image) {
        CompletableFuture<String> lost = holderDied;
        return new VmSnapshot() {
            private volatile CompletableFuture<Void> attempt = durable;

            @Override
            public VmImage image() {
                return image;
            }

            @Override
            public CompletionStage<Void> durable() {
                return attempt.minimalCompletionStage();
            }

            @Override
            public void retry() {
                attempt = durable;
            }

            @Override
            public CompletionStage<String> lost() {
                return lost.minimalCompletionStage();
            }

            @Override
            public OptionalLong writtenBytes() {
                return attempt.isDone() ? OptionalLong.of(4096) : OptionalLong.empty();
            }
        };
    }

    @Override
    public FrozenSandbox freeze(String id, int copies) {
        if (captureFailure != null) {
            throw captureFailure;
        }
        String memory = require(id).memory;
        return new FrozenSandbox() {
            @Override
            public Sandbox start(String copy, Map<String, String> environment) {
                return FakeCubelet.this.start(copy, environment, memory);
            }

            @Override
            public Sandbox startLast(String copy, Map<String, String> environment) {
                return start(copy, environment);
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public boolean holdsMemory(Path directory) {
        return Files.exists(directory.resolve("memory"));
    }

    @Override
    public VmImage reboot(RebootSpec spec, Path directory) {
        if (!Files.isDirectory(spec.image()) || !Files.exists(spec.template().resolve("template"))) {
            throw new SandboxException(SandboxException.Kind.FAILED, "there is nothing to boot");
        }
        return write(new FakeSandbox(spec.id(), "booting", spec.environment(), "booted"), directory);
    }

    @Override
    public VmImage pause(String id, Path directory, boolean keepMemory) {
        FakeSandbox sandbox = require(id);
        VmImage image = write(sandbox, directory);
        if (!keepMemory) {
            delete(directory.resolve("memory"));
        }
        vms.remove(sandbox.vmId());
        reach(Step.VM_SUSPENDED);
        running.remove(id);
        sandbox.gone.complete("it was paused");
        return image;
    }

    @Override
    public Replacement replace(SandboxSpec spec) {
        FakeSandbox old = require(spec.id());
        FakeSandbox fresh = startVm(spec.id(), spec.environment(), memoryOf(spec.image()));
        return new Replacement() {
            @Override
            public Sandbox sandbox() {
                return fresh;
            }

            @Override
            public void takePlace() {
                reach(Step.REPLACEMENT_RECORDED);
                running.put(spec.id(), fresh);
                vms.remove(old.vmId());
                old.gone.complete("it was replaced");
            }

            @Override
            public void close() {
                if (running.get(spec.id()) != fresh && !serverEnded) {
                    vms.remove(fresh.vmId());
                }
            }
        };
    }

    @Override
    public VmImage openImage(Path directory) {
        return image(directory);
    }

    @Override
    public void forgetUnrecovered() {}

    @Override
    public Optional<VmSnapshot> recoverSnapshot(Path directory) {
        return Files.isDirectory(directory) ? Optional.of(snapshot(image(directory))) : Optional.empty();
    }

    @Override
    public void discard(Path directory) {
        reach(Step.DISCARDING);
        if (!serverEnded) {
            delete(directory);
        }
    }

    void die(String id, String reason) {
        FakeSandbox sandbox = running.remove(id);
        vms.remove(sandbox.vmId());
        sandbox.gone.complete(reason);
    }

    /** The machine is switched off, with a server that has ended. */
    void powerFails() {
        vms.clear();
    }

    @Override
    public Optional<Sandbox> find(String id) {
        return Optional.ofNullable(running.get(id));
    }

    @Override
    public Collection<Sandbox> list() {
        return List.copyOf(running.values());
    }

    @Override
    public void destroy(String id) {
        FakeSandbox sandbox = serverEnded ? null : running.remove(id);
        if (sandbox != null) {
            vms.remove(sandbox.vmId());
            sandbox.gone.complete("destroyed");
        }
    }

    @Override
    public Collection<Sandbox> recover(Collection<RunningSandbox> sandboxes) {
        serverEnded = false;
        at.clear();
        expected.clear();
        expected.addAll(sandboxes);
        running.clear();
        for (RunningSandbox record : sandboxes) {
            // A new connection to the same VM.
            vms.computeIfPresent(record.vmId(), (vm, old) -> {
                FakeSandbox sandbox = old.again();
                sandbox.whenWatched = whenRecoveredIsWatched;
                running.put(record.id(), sandbox);
                return sandbox;
            });
        }
        vms.values().removeIf(vm -> !running.containsValue(vm));
        return List.copyOf(running.values());
    }

    @Override
    public Template openTemplate(Path directory) {
        if (!Files.exists(directory.resolve("template"))) {
            throw new SandboxException(SandboxException.Kind.FAILED, "there is no template in its directory");
        }
        return template(directory);
    }

    private static Template template(Path directory) {
        return new Template(image(directory), Map.of("FROM", "image", "BOTH", "image"));
    }

    @Override
    public void deleteTemplate(Path directory) {
        if (deleteFailure != null) {
            throw deleteFailure;
        }
        delete(directory);
    }

    private static void delete(Path directory) {
        try (Stream<Path> walk = Files.walk(directory)) {
            for (Path path : walk.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        } catch (NoSuchFileException e) {
            // Nothing to delete.
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public TemplateBuilder templateBuilder() {
        return (request, directory, log) -> {
            boolean whole = false;
            try {
                Files.createDirectory(directory);
                build.run(request, log);
                Files.writeString(directory.resolve("template"), request.image());
                whole = true;
                return template(directory);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } finally {
                if (!whole) {
                    delete(directory);
                }
            }
        };
    }

    @Override
    public void close() {}
}
