package dev.cube.cubelet;

import dev.cube.hypervisor.BootSpec;
import dev.cube.hypervisor.HypervisorException;
import dev.cube.hypervisor.Vm;
import dev.cube.hypervisor.VmFactory;
import dev.cube.hypervisor.VmImage;
import dev.cube.hypervisor.VmShape;
import dev.cube.hypervisor.VmSnapshot;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;

/** Makes {@link FakeVm}s, and keeps them. */
final class FakeVmFactory implements VmFactory {
    final List<FakeVm> vms = new CopyOnWriteArrayList<>();
    final List<FakeVm> leftRunning = new ArrayList<>();
    final Map<Path, Consumer<Vm>> warm = new ConcurrentHashMap<>();
    final List<VmShape> expected = new CopyOnWriteArrayList<>();
    final List<Path> discarded = new CopyOnWriteArrayList<>();
    final List<Path> rebooted = new CopyOnWriteArrayList<>();
    volatile RuntimeException failure;
    volatile RuntimeException captureFailure;

    @Override
    public Vm boot(BootSpec spec) {
        return make(spec.baseDisk());
    }

    @Override
    public Vm reboot(Path image) {
        rebooted.add(image);
        return make(image);
    }

    @Override
    public boolean holdsMemory(Path image) {
        return Files.exists(image.resolve("memory"));
    }

    @Override
    public Vm start(VmImage image) {
        return make(image.baseDisk());
    }

    FakeVm make(Path baseDisk) {
        if (failure != null) {
            throw failure;
        }
        FakeVm vm = new FakeVm(this, baseDisk);
        vm.captureFailure = captureFailure;
        vms.add(vm);
        return vm;
    }

    @Override
    public VmImage open(Path directory) {
        if (!Files.isDirectory(directory)) {
            throw new HypervisorException("there is no image in " + directory);
        }
        return new VmImage(directory, VmShape.DEFAULT, Path.of("base"), "fake");
    }

    @Override
    public List<Vm> adopt() {
        return List.copyOf(leftRunning);
    }

    @Override
    public Optional<VmSnapshot> recoverSnapshot(Path directory) {
        return Optional.empty();
    }

    @Override
    public void recovered() {}

    @Override
    public void discard(Path directory) {
        discarded.add(directory);
    }

    @Override
    public void expect(VmShape shape) {
        expected.add(shape);
    }

    @Override
    public void keepWarm(VmImage image, Consumer<Vm> exercise, Consumer<Vm> firstUse) {
        warm.put(image.directory(), exercise);
    }

    @Override
    public void forget(Path image) {
        warm.remove(image);
    }

    @Override
    public void close() {}
}
