package dev.cube.cubelet;

import dev.cube.guest.AgentConnection;
import dev.cube.guest.GuestAgent;
import dev.cube.hypervisor.HypervisorConfig;
import dev.cube.hypervisor.QemuHypervisor;
import dev.cube.hypervisor.VmShape;
import dev.cube.image.BaseDiskBuilder;
import dev.cube.image.RegistryCredentials;
import dev.cube.image.UnpackLimits;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A program that makes a template on a disk that it has filled but for a little room, and prints why it could not and
 * what is left in the directories of templates and VMs. Arguments: the directory on that disk, the guest artifacts, the
 * image, the room in MiB.
 */
final class FullDiskBuild {
    private static final GuestPreparation NOTHING = new GuestPreparation() {
        @Override
        public void warmUp(GuestAgent agent, Consumer<String> log) {}

        @Override
        public void exercise(GuestAgent agent) {}

        @Override
        public void useFirst(GuestAgent agent) {
            // Nobody uses it.
        }

        @Override
        public boolean probe(GuestAgent agent, int port) {
            return true;
        }
    };

    private FullDiskBuild() {}

    private static void fill(Path root, long room) throws IOException {
        byte[] piece = new byte[64 * 1024];
        try (OutputStream ballast = Files.newOutputStream(root.resolve("ballast"))) {
            while (Files.getFileStore(root).getUsableSpace() > room) {
                ballast.write(piece);
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        Path root = Path.of(arguments[0]);
        Path templates = Files.createDirectory(root.resolve("t"));
        HypervisorConfig config = HypervisorConfig.of(Files.createDirectory(root.resolve("h")), Path.of(arguments[1]))
                .withPool(0, 1, 0);
        try (QemuHypervisor hypervisor = QemuHypervisor.open(config);
                LocalCubelet cubelet = new LocalCubelet(hypervisor, AgentConnection::open,
                        new BaseDiskBuilder(UnpackLimits.DEFAULT, RegistryCredentials.anonymous()), NOTHING,
                        NodeLimits.forMachine(), new SimpleMeterRegistry())) {
            fill(root, Long.parseLong(arguments[3]) << 20);
            TemplateBuilder.Request request = new TemplateBuilder.Request("oci:" + arguments[2], new VmShape(1, 256),
                    64 << 20, List.of(), Optional.empty());
            cubelet.templateBuilder().build(request, templates.resolve("one"), System.out::println);
            System.out.println("made it");
        } catch (SandboxException e) {
            System.out.println("failed: " + e.getMessage());
        }
        for (Path directory : List.of(templates, config.home().resolve("vms"))) {
            try (Stream<Path> children = Files.list(directory)) {
                children.forEach(child -> System.out.println("left: " + child));
            }
        }
    }
}
