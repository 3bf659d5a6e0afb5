package dev.cube.cubelet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.cube.guest.Epoch;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.ProcessSpec;
import dev.cube.hypervisor.HypervisorException;
import dev.cube.hypervisor.VmImage;
import dev.cube.hypervisor.VmShape;
import dev.cube.image.ImageConfig;
import dev.cube.image.ImageException;
import dev.cube.image.ImageProgress;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImageTemplateBuilderTest {
    private static final long MIB = 1 << 20;
    private static final ImageConfig CONFIG = new ImageConfig("sha256:abc", Map.of("LANG", "C.UTF-8"),
            List.of("/serve"), List.of("--fast"), "", "/srv", List.of(80));
    private static final TemplateBuilder.Request REQUEST = new TemplateBuilder.Request("oci:x", VmShape.DEFAULT,
            64 * MIB, List.of(80), Optional.of(80));

    @TempDir
    private Path temporary;

    private final FakeVmFactory vms = new FakeVmFactory();
    private final FakeAgent agent = new FakeAgent();
    private final List<String> log = new CopyOnWriteArrayList<>();
    private final List<Epoch> epochs = new ArrayList<>();
    private final Preparation preparation = new Preparation();
    private Path directory;
    private RuntimeException baseFailure;
    private GuestException connectFailure;

    private final TemplateDisks disks = new TemplateDisks() {
        @Override
        public ImageConfig makeBase(String reference, Path disk, ImageProgress progress) {
            write(disk, "base");
            progress.line("fetching");
            if (baseFailure != null) {
                throw baseFailure;
            }
            return CONFIG;
        }

        @Override
        public void makeWritable(Path disk, long bytes) {
            write(disk, "writable");
        }

        private void write(Path file, String text) {
            try {
                Files.writeString(file, text);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    };

    private final List<Template> ready = new ArrayList<>();

    /** Answers the third probe. */
    private static final class Preparation implements GuestPreparation {
        final List<Integer> probes = new ArrayList<>();
        RuntimeException failure;
        CountDownLatch blockedIn;
        Runnable onWarmUp = () -> {};

        @Override
        public void warmUp(GuestAgent agent, Consumer<String> log) {
            log.accept("numpy is warm");
            onWarmUp.run();
            if (blockedIn != null) {
                blockedIn.countDown();
                try {
                    new CountDownLatch(1).await();
                } catch (InterruptedException e) {
                    throw new GuestException(GuestException.Kind.INTERNAL, "interrupted", e);
                }
            }
            if (failure != null) {
                throw failure;
            }
        }

        @Override
        public void exercise(GuestAgent agent) {
            throw new AssertionError("templates are not exercised while they are built");
        }

        @Override
        public void useFirst(GuestAgent agent) {
            // Nobody uses it.
        }

        @Override
        public boolean probe(GuestAgent agent, int port) {
            probes.add(port);
            return probes.size() == 3;
        }
    }

    private ImageTemplateBuilder builder() {
        NodeLimits limits = new NodeLimits(10, 0, MIB, Duration.ofSeconds(1));
        AgentConnector connector = (socket, epoch, timeout) -> {
            epochs.add(epoch);
            if (connectFailure != null) {
                throw connectFailure;
            }
            return agent;
        };
        return new ImageTemplateBuilder(vms, disks, connector, preparation,
                new Admission(limits, () -> new MemoryInfo(100 * MIB, 100 * MIB)), limits.agentTimeout(), ready::add);
    }

    @BeforeEach
    void nameDirectory() {
        directory = temporary.resolve("template");
    }

    @AfterEach
    void noVmIsLeft() {
        assertThat(vms.vms).allMatch(FakeVm::killed);
    }

    @Test
    void makesDisksBootsWarmsUpProbesAndCaptures() throws Exception {
        Template template = builder().build(REQUEST, directory, log::add);

        assertThat(template.environment()).isEqualTo(CONFIG.environment());
        assertThat(template.image().directory()).isEqualTo(directory.resolve("image"));
        assertThat(TemplateFiles.readEnvironment(directory)).isEqualTo(CONFIG.environment());
        assertThat(epochs).containsExactly(new Epoch.Restored("template", CONFIG.environment()));
        assertThat(preparation.probes).containsExactly(80, 80, 80);
        assertThat(agent.closed).isDone();
        assertThat(agent.started).extracting(ProcessSpec::command).containsExactly("/serve", "sync");
        assertThat(ready).extracting(Template::image).extracting(VmImage::directory).containsExactly(directory.resolve("image"));
        assertThat(log).contains("fetching", "numpy is warm").anyMatch(line -> line.startsWith("Snapshot: "));
    }

    @Test
    void aBadImageLeavesNothing() {
        baseFailure = new ImageException("there is no image at oci:x");
        failsWith("there is no image at oci:x");
    }

    @Test
    void aFailedBootLeavesNothing() {
        vms.failure = new HypervisorException("qemu: cannot allocate memory");
        failsWith("qemu: cannot allocate memory");
    }

    @Test
    void aSilentAgentLeavesNothing() {
        connectFailure = new GuestException(GuestException.Kind.DISCONNECTED, "no answer in 1 s");
        failsWith("no answer in 1 s");
    }

    @Test
    void theDeathOfItsVmIsTheReasonRatherThanTheLostAgent() {
        preparation.onWarmUp = () -> vms.vms.getFirst().die("vms: No space left on device");
        preparation.failure = new GuestException(GuestException.Kind.DISCONNECTED, "the guest is gone");
        failsWith("its VM died: vms: No space left on device");
    }

    @Test
    void aFailedWarmUpLeavesNothing() {
        preparation.failure = new GuestException(GuestException.Kind.INTERNAL, "no module named numpy");
        failsWith("no module named numpy");
    }

    @Test
    void aFullDiskLeavesNothing() {
        vms.captureFailure = new HypervisorException("memory: No space left on device");
        failsWith("memory: No space left on device");
    }

    private void failsWith(String message) {
        assertThatExceptionOfType(SandboxException.class)
                .isThrownBy(() -> builder().build(REQUEST, directory, log::add)).withMessageContaining(message);
        assertThat(temporary).isEmptyDirectory();
    }

    @Test
    void anInterruptionLeavesNothing() throws Exception {
        preparation.blockedIn = new CountDownLatch(1);
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        Thread job = Thread.ofVirtual().start(() -> {
            try {
                builder().build(REQUEST, directory, log::add);
            } catch (Throwable e) {
                thrown.set(e);
            }
        });
        preparation.blockedIn.await();
        job.interrupt();
        assertThat(job.join(Duration.ofSeconds(10))).isTrue();
        assertThat(thrown.get()).isInstanceOf(InterruptedException.class);
        assertThat(temporary).isEmptyDirectory();
    }

    @Test
    void leavesADirectoryThatIsNotItsOwnAlone() throws Exception {
        Files.createDirectory(directory);
        Files.writeString(directory.resolve("precious"), "x");
        assertThatExceptionOfType(SandboxException.class)
                .isThrownBy(() -> builder().build(REQUEST, directory, log::add));
        assertThat(directory.resolve("precious")).exists();
    }
}
