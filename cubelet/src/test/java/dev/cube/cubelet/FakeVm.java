package dev.cube.cubelet;

import dev.cube.hypervisor.FrozenVm;
import dev.cube.hypervisor.HypervisorException;
import dev.cube.hypervisor.Vm;
import dev.cube.hypervisor.VmExit;
import dev.cube.hypervisor.VmImage;
import dev.cube.hypervisor.VmShape;
import dev.cube.hypervisor.VmSnapshot;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.atomic.AtomicInteger;

/** A VM without a QEMU. */
final class FakeVm implements Vm {
    private static final AtomicInteger NUMBERS = new AtomicInteger();

    final CompletableFuture<VmExit> exit = new CompletableFuture<>();
    final Path baseDisk;
    final AtomicInteger thawed = new AtomicInteger();
    volatile Runnable beforeCapture = () -> { };
    volatile RuntimeException captureFailure;
    volatile RuntimeException resumeFailure;
    private final FakeVmFactory factory;
    private final String id = "vm-" + NUMBERS.incrementAndGet();

    FakeVm(FakeVmFactory factory, Path baseDisk) {
        this.factory = factory;
        this.baseDisk = baseDisk;
    }

    boolean killed() {
        return exit.isDone();
    }

    void die(String reason) {
        exit.complete(new VmExit(false, reason));
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
    public long pid() {
        // Larger than any process ID that Linux gives.
        return 1L << 31;
    }

    @Override
    public Path agentSocket() {
        return Path.of("/nowhere", id);
    }

    @Override
    public String console() {
        return "";
    }

    @Override
    public void pause() {
        throw new HypervisorException("not wanted here");
    }

    @Override
    public void resume() {
        if (resumeFailure != null) {
            throw resumeFailure;
        }
    }

    @Override
    public VmImage capture(Path directory) {
        beforeCapture.run();
        if (captureFailure != null) {
            throw captureFailure;
        }
        try {
            Files.createDirectory(directory);
            Files.writeString(directory.resolve("memory"), "pages");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return new VmImage(directory, VmShape.DEFAULT, baseDisk, "fake");
    }

    @Override
    public VmSnapshot snapshot(Path directory) {
        VmImage image = capture(directory);
        return new VmSnapshot() {
            @Override
            public VmImage image() {
                return image;
            }

            @Override
            public CompletionStage<Void> durable() {
                return CompletableFuture.completedStage(null);
            }

            @Override
            public void retry() {}

            @Override
            public CompletionStage<String> lost() {
                return new CompletableFuture<>();
            }

            @Override
            public OptionalLong writtenBytes() {
                return OptionalLong.of(5);
            }
        };
    }

    @Override
    public FrozenVm freeze(int copies) {
        if (captureFailure != null) {
            throw captureFailure;
        }
        return new FrozenVm() {
            @Override
            public VmShape shape() {
                return VmShape.DEFAULT;
            }

            @Override
            public Vm start() {
                return factory.make(baseDisk);
            }

            @Override
            public Vm startLast() {
                return start();
            }

            @Override
            public void close() {
                thawed.incrementAndGet();
            }
        };
    }

    @Override
    public VmImage suspend(Path directory, boolean keepMemory) {
        VmImage image = capture(directory);
        if (!keepMemory) {
            dropMemory(directory);
        }
        kill();
        return image;
    }

    private static void dropMemory(Path directory) {
        try {
            Files.delete(directory.resolve("memory"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void kill() {
        exit.complete(new VmExit(true, "killed"));
    }

    @Override
    public CompletionStage<VmExit> exit() {
        return exit.minimalCompletionStage();
    }
}
