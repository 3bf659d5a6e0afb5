package dev.cube.cubelet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import dev.cube.guest.AgentConnection;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestFileReader;
import dev.cube.guest.GuestProcess;
import dev.cube.guest.ProcessEvent;
import dev.cube.guest.ProcessInfo;
import dev.cube.guest.ProcessSpec;
import dev.cube.hypervisor.AcceleratorChoice;
import dev.cube.hypervisor.HypervisorConfig;
import dev.cube.hypervisor.QemuHypervisor;
import dev.cube.hypervisor.VmShape;
import dev.cube.image.BaseDiskBuilder;
import dev.cube.image.RegistryCredentials;
import dev.cube.image.UnpackLimits;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Real VMs on this machine. The guest kernel, initramfs and memory library are taken from the directory that the system
 * property {@code cube.artifacts} names.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(value = 4, unit = TimeUnit.MINUTES)
class LocalCubeletIT {
    private static final VmShape SMALL = new VmShape(1, 256);

    private final List<String> log = new CopyOnWriteArrayList<>();
    private Path root;
    private HypervisorConfig config;
    private QemuHypervisor hypervisor;
    private LocalCubelet cubelet;
    private Path image;
    private Template template;

    private static final GuestPreparation NOTHING = new GuestPreparation() {
        @Override
        public void warmUp(GuestAgent agent, Consumer<String> log) {
            log.accept("nothing to warm up");
        }

        @Override
        public void exercise(GuestAgent agent) {
            agent.processes();
        }

        @Override
        public void useFirst(GuestAgent agent) {
            // Nobody uses it.
        }

        @Override
        public boolean probe(GuestAgent agent, int port) {
            return true;
        }
    };

    @BeforeAll
    void makeTemplate() throws Exception {
        // Not JUnit's directory: paths of sockets must be short.
        root = Files.createTempDirectory("cl");
        Path artifacts = Path.of(System.getProperty("cube.artifacts", "/var/lib/cube/artifacts")).toAbsolutePath();
        assertThat(artifacts.resolve("initramfs.cpio"))
                .as("guest initramfs; build the artifacts, and name their directory with -Dcube.artifacts")
                .isRegularFile();
        config = HypervisorConfig.of(Files.createDirectory(root.resolve("home")), artifacts)
                .withAccelerator(AcceleratorChoice.parse(System.getProperty("cube.accel", "auto"))).withPool(2, 1, 0);
        image = OciLayout.make(root.resolve("oci"), List.of("sh", "sleep", "sync", "perl"), """
                {"Env": ["PATH=/bin", "COLOUR=from the image"], "User": "1000", "WorkingDir": "/tmp",
                 "Entrypoint": ["sleep"], "Cmd": ["100000"]}""");
        start(NOTHING);
        template = cubelet.templateBuilder().build(request(), root.resolve("template"), log::add);
        assertThat(log).anyMatch(line -> line.startsWith("Snapshot: "));
    }

    private TemplateBuilder.Request request() {
        return new TemplateBuilder.Request("oci:" + image, SMALL, 64 << 20, List.of(), Optional.of(80));
    }

    private void start(GuestPreparation preparation) {
        hypervisor = QemuHypervisor.open(config);
        cubelet = new LocalCubelet(hypervisor, AgentConnection::open,
                new BaseDiskBuilder(UnpackLimits.DEFAULT, RegistryCredentials.anonymous()), preparation,
                NodeLimits.forMachine(), new SimpleMeterRegistry());
    }

    /** As the end of a server, killed or not: nothing is told to the VMs. */
    private void stop() {
        cubelet.close();
        hypervisor.close();
    }

    @AfterEach
    void destroySandboxes() {
        cubelet.list().forEach(sandbox -> cubelet.destroy(sandbox.id()));
    }

    @AfterAll
    void removeAll() throws IOException {
        if (cubelet != null) {
            stop();
        }
        List<Long> left = processes();
        left.forEach(pid -> ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly));
        TemplateFiles.delete(root);
        assertThat(left).as("processes left behind").isEmpty();
    }

    private List<Long> processes() {
        return ProcessHandle.allProcesses().map(ProcessHandle::pid).filter(pid -> {
            try {
                return Files.readSymbolicLink(Path.of("/proc/" + pid + "/cwd")).startsWith(config.home());
            } catch (IOException e) {
                return false;
            }
        }).toList();
    }

    private Sandbox create(String id) {
        return cubelet.create(new SandboxSpec(id, template.image(), template.environment()));
    }

    private static String read(Sandbox sandbox, String path) {
        try (GuestFileReader file = sandbox.agent().read(path)) {
            return new String(file.input().readAllBytes(), StandardCharsets.UTF_8).strip();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String run(Sandbox sandbox, String script) {
        ProcessSpec spec = new ProcessSpec("sh", List.of("-c", script), Map.of(), Optional.empty(), "root",
                Optional.empty(), Optional.empty(), false);
        StringBuilder output = new StringBuilder();
        try (GuestProcess process = sandbox.agent().start(spec)) {
            while (process.next() instanceof ProcessEvent.Output out) {
                output.append(new String(out.data(), StandardCharsets.UTF_8));
            }
        }
        return output.toString().strip();
    }

    private long qemuOf(Sandbox sandbox) {
        Path directory = config.home().resolve("vms").resolve(sandbox.vmId());
        return processes().stream().filter(pid -> {
            try {
                return Files.readSymbolicLink(Path.of("/proc/" + pid + "/cwd")).equals(directory);
            } catch (IOException e) {
                return false;
            }
        }).findFirst().orElseThrow();
    }

    @Test
    void tenSandboxesAtOnceAreTenMachines() throws Exception {
        List<Future<Sandbox>> created = new ArrayList<>();
        try (ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int i = 0; i < 10; i++) {
                String id = "machine" + i;
                created.add(executor.submit(() -> create(id)));
            }
        }
        List<Sandbox> sandboxes = new ArrayList<>();
        for (Future<Sandbox> sandbox : created) {
            sandboxes.add(sandbox.get());
        }
        assertThat(sandboxes).allSatisfy(sandbox ->
                assertThat(read(sandbox, "/proc/sys/kernel/hostname")).isEqualTo(sandbox.id()));
        for (String unique : List.of("/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/random/uuid")) {
            assertThat(sandboxes.stream().map(sandbox -> read(sandbox, unique))).doesNotHaveDuplicates();
        }
        assertThat(run(sandboxes.getFirst(), "echo $COLOUR")).isEqualTo("from the image");
    }

    @Test
    void theImagesCommandRunsInEverySandboxAsItsUser() {
        Sandbox sandbox = create("worker");
        ProcessInfo command = sandbox.agent().processes().stream()
                .filter(process -> process.tag().equals(Optional.of(StartCommand.TAG))).findFirst().orElseThrow();
        assertThat(command.command()).isEqualTo("sleep");
        assertThat(read(sandbox, "/proc/" + command.pid() + "/status")).contains("Uid:\t1000\t");
    }

    @Test
    void aSandboxThatWasPausedWithoutItsMemoryBootsAndRunsTheImagesCommand() {
        Sandbox before = create("sleeper");
        run(before, "echo on-disk > /kept; echo in-memory > /dev/shm/lost");
        Path paused = root.resolve("paused");
        Path booted = root.resolve("booted");
        cubelet.pause("sleeper", paused, false);
        assertThat(cubelet.holdsMemory(paused)).isFalse();
        assertThat(cubelet.find("sleeper")).isEmpty();

        cubelet.reboot(new RebootSpec("sleeper", template.environment(), paused, root.resolve("template")), booted);

        assertThat(cubelet.holdsMemory(booted)).isTrue();
        Sandbox after = cubelet.create(
                new SandboxSpec("sleeper", cubelet.openImage(booted), template.environment()));
        assertThat(read(after, "/kept")).isEqualTo("on-disk");
        assertThat(run(after, "test -e /dev/shm/lost || echo lost; echo $COLOUR")).isEqualTo("lost\nfrom the image");
        assertThat(read(after, "/proc/sys/kernel/hostname")).isEqualTo("sleeper");
        ProcessInfo command = after.agent().processes().stream()
                .filter(process -> process.tag().equals(Optional.of(StartCommand.TAG))).findFirst().orElseThrow();
        assertThat(read(after, "/proc/" + command.pid() + "/status")).contains("Uid:\t1000\t");
    }

    @Test
    void aKilledQemuIsReportedAtOnceAndHarmsNoOther() throws Exception {
        Sandbox victim = create("victim");
        Sandbox bystander = create("bystander");
        victim.agent();
        long pid = qemuOf(victim);
        // Where memory runs out, the kernel is to take a sandbox, not the server.
        assertThat(Files.readString(Path.of("/proc/" + pid + "/oom_score_adj")).strip()).isEqualTo("900");

        ProcessHandle.of(pid).orElseThrow().destroyForcibly();

        assertThat(victim.gone().toCompletableFuture().get(1, TimeUnit.MINUTES)).contains("its VM died");
        assertThatExceptionOfType(SandboxException.class).isThrownBy(victim::agent);
        assertThat(cubelet.find("victim")).isEmpty();
        assertThat(read(bystander, "/proc/sys/kernel/hostname")).isEqualTo("bystander");
        assertThat(config.home().resolve("vms").resolve(victim.vmId())).doesNotExist();
    }

    /**
     * The kernel lets nobody else open the agent's port and keeps signals from PID 1, but root can take a copy of the
     * agent's descriptor (pidfd_open 434, pidfd_getfd 438) and speak in its place.
     */
    private static final String IMPOSTOR = """
            opendir(my $fds, "/proc/1/fd");
            my ($port) = grep { (readlink("/proc/1/fd/$_") // "") =~ /vport/ } readdir $fds;
            my $agent = syscall(434, 1, 0); my $copy = syscall(438, $agent, $port + 0, 0);
            open(my $out, ">&=", $copy) or die "no port: $!";
            my $noise = %s; while (1) { syswrite($out, $noise) }""";

    @ParameterizedTest
    @ValueSource(strings = {
        "chr(0) x 65536",
        // Frames of a kind that a host which asked for nothing never gets, well-formed to the end marker.
        "pack(\"CCvVa3C\", 0x91, 0, 3, 77, \"abc\", 0xA5) x 4096",
        "join \"\", map { chr int rand 256 } 1 .. 65536"})
    void aHostileRootInAGuestIsCutOffAndHarmsNoOther(String noise) throws Exception {
        Sandbox victim = create("hostile");
        Sandbox bystander = create("bystander");
        long pid = qemuOf(victim);
        assertThat(run(victim, "echo noise > /dev/vport0p1 && echo taken; kill -9 1; echo still here"))
                .contains("busy").endsWith("still here").doesNotContain("taken");
        assertThat(read(bystander, "/proc/sys/kernel/hostname")).isEqualTo("bystander");
        long before = usedMemory();
        ProcessSpec impostor = new ProcessSpec("perl", List.of("-e", IMPOSTOR.formatted(noise)), Map.of(),
                Optional.empty(), "root", Optional.empty(), Optional.empty(), false);

        victim.agent().start(impostor);

        assertThat(victim.gone().toCompletableFuture().get(1, TimeUnit.MINUTES))
                .startsWith("the guest broke the protocol");
        assertThat(ProcessHandle.of(pid).filter(ProcessHandle::isAlive)).isEmpty();
        await().atMost(Duration.ofMinutes(1)).untilAsserted(() -> assertThat(cubelet.find("hostile")).isEmpty());
        assertThat(usedMemory() - before).as("bytes of memory kept for the noise").isLessThan(8 << 20);
        assertThat(run(bystander, "echo unharmed")).isEqualTo("unharmed");
        create("next").agent();
    }

    private static long usedMemory() {
        System.gc();
        return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed()
                + ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class).stream()
                        .mapToLong(BufferPoolMXBean::getMemoryUsed).sum();
    }

    @Test
    void aTemplateOfAnotherMachineCannotBeOpened() throws Exception {
        Path manifest = TemplateFiles.image(root.resolve("template")).resolve("manifest.json");
        String text = Files.readString(manifest);
        try {
            Files.writeString(manifest, text.replaceFirst("qemu [0-9.]+", "qemu 1.0"));
            assertThatExceptionOfType(SandboxException.class)
                    .isThrownBy(() -> cubelet.openTemplate(root.resolve("template")))
                    .withMessageContaining("another kind of machine").withMessageContaining("build it anew");
        } finally {
            Files.writeString(manifest, text);
        }
        cubelet.openTemplate(root.resolve("template"));
    }

    @Test
    void aNewServerTakesUpWhatAnOlderLeftRunning() {
        Sandbox kept = create("kept");
        Sandbox orphan = create("orphan");
        String boot = read(kept, "/proc/sys/kernel/random/boot_id");
        GuestProcess process = kept.agent().start(new ProcessSpec("sleep", List.of("1000"), Map.of(),
                Optional.empty(), "root", Optional.of("mine"), Optional.empty(), false));
        orphan.agent();
        long orphanPid = qemuOf(orphan);
        stop();

        start(NOTHING);
        List<Sandbox> recovered = List.copyOf(cubelet.recover(List.of(
                new RunningSandbox("kept", kept.vmId(), Map.of(), true),
                new RunningSandbox("dead", "none", Map.of(), true))));

        assertThat(recovered).extracting(Sandbox::id).containsExactly("kept");
        Sandbox again = recovered.getFirst();
        assertThat(read(again, "/proc/sys/kernel/random/boot_id")).isEqualTo(boot);
        assertThat(again.agent().processes()).extracting(ProcessInfo::pid).contains(process.pid());
        assertThat(ProcessHandle.of(orphanPid).filter(ProcessHandle::isAlive)).isEmpty();
        assertThat(config.home().resolve("vms").resolve(orphan.vmId())).doesNotExist();
        template = cubelet.openTemplate(root.resolve("template"));
        assertThat(template.environment()).containsEntry("COLOUR", "from the image");
        create("next").agent();
    }

    @Test
    void aFailedBuildLeavesNothing() throws Exception {
        stop();
        start(new GuestPreparation() {
            @Override
            public void warmUp(GuestAgent agent, Consumer<String> lines) {
                throw new SandboxException(SandboxException.Kind.FAILED, "this one cannot be warmed up");
            }

            @Override
            public void exercise(GuestAgent agent) {
                agent.processes();
            }

            @Override
            public void useFirst(GuestAgent agent) {
                // Nobody uses it.
            }

            @Override
            public boolean probe(GuestAgent agent, int port) {
                return false;
            }
        });
        try {
            assertThatExceptionOfType(SandboxException.class)
                    .isThrownBy(() -> cubelet.templateBuilder().build(request(), root.resolve("bad"), log::add))
                    .withMessage("this one cannot be warmed up");
            assertThat(root.resolve("bad")).doesNotExist();
            assertOnlyBlanksRun();
        } finally {
            stop();
            start(NOTHING);
        }
    }

    @Test
    void aCancelledBuildLeavesNothing() throws Exception {
        Thread builder = Thread.ofVirtual().unstarted(() -> {
            try {
                cubelet.templateBuilder().build(request(), root.resolve("cancelled"), line -> {
                    if (line.startsWith("Boot: ")) {
                        Thread.currentThread().interrupt();
                    }
                });
            } catch (InterruptedException e) {
                log.add("cancelled as asked");
            }
        });
        builder.start();
        builder.join();
        assertThat(log).contains("cancelled as asked");
        assertThat(root.resolve("cancelled")).doesNotExist();
        assertOnlyBlanksRun();
    }

    /** And the warm parent of the template, where there is one. */
    private void assertOnlyBlanksRun() {
        await().atMost(Duration.ofMinutes(1)).untilAsserted(() -> assertThat(processes())
                .hasSize(hypervisor.blanksReady(SMALL) + (hypervisor.isWarm(template.image()) ? 1 : 0)));
    }
}
