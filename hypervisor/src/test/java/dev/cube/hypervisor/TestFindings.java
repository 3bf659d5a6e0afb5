package dev.cube.hypervisor;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Supplier;

/**
 * What tests have to find out or make only once in a JVM, each of which takes a boot: the accelerator that works here, and
 * captured VMs. It lies in a directory that goes with the JVM.
 */
final class TestFindings {
    private static final String ACCELERATOR = "accelerator.json";
    private static final Map<VmShape, VmImage> TEMPLATES = new HashMap<>();
    private static Path directory;

    private TestFindings() {}

    private static Path directory() throws IOException {
        if (directory == null) {
            Path made = Files.createTempDirectory("hv-findings");
            Runtime.getRuntime().addShutdownHook(new Thread(() -> VmDirectory.deleteTree(made)));
            directory = made;
        }
        return directory;
    }

    /** Opens a hypervisor that need not look for the accelerator if another has. */
    static synchronized QemuHypervisor open(HypervisorConfig config) {
        try {
            Path known = directory().resolve(ACCELERATOR);
            Path own = config.home().resolve(ACCELERATOR);
            if (Files.exists(known)) {
                Files.copy(known, own, StandardCopyOption.REPLACE_EXISTING);
            }
            QemuHypervisor hypervisor = QemuHypervisor.open(config);
            Files.copy(own, known, StandardCopyOption.REPLACE_EXISTING);
            return hypervisor;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The captured VM of this shape, linked to {@code to}; booted if this is the first that is wanted. */
    static synchronized void template(VmShape shape, Supplier<Vm> boot, Path to) {
        try {
            VmImage template = TEMPLATES.get(shape);
            if (template == null) {
                template = capture(boot.get(), directory().resolve(shape.vcpus() + "-" + shape.memoryMib()));
                TEMPLATES.put(shape, template);
            }
            Files.createDirectory(to);
            ImageManifest manifest = ImageStore.read(template.directory());
            ImageStore.linkFiles(template.directory(), manifest, to);
            // Tests write to these.
            Files.copy(template.directory().resolve(manifest.deviceState()), to.resolve(manifest.deviceState()));
            Files.copy(template.directory().resolve(ImageManifest.FILE), to.resolve(ImageManifest.FILE));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static VmImage capture(Vm vm, Path place) {
        try {
            return vm.capture(place);
        } finally {
            vm.kill();
        }
    }
}
