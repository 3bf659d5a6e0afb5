package dev.cube.cubelet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.cube.guest.AgentConnection;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestFileReader;
import dev.cube.guest.GuestFileWriter;
import dev.cube.guest.GuestProcess;
import dev.cube.guest.GuestStream;
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
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sandboxes forked from a parent whose agent was cut off in the midst of traffic, with processes at work. As
 * {@code LiveForkSoakIT} of the hypervisor, with the real agent. {@code -Dcube.soak=10000} gives twenty times the number of
 * sandboxes.
 */
class BusySandboxForkIT {
    private static final Logger LOG = LoggerFactory.getLogger(BusySandboxForkIT.class);
    private static final int SANDBOXES = Math.max(24, Integer.getInteger("cube.soak", 0) / 20);
    private static final int AT_ONCE = 3;
    private static final int ECHO_PORT = 8000;
    private static final int ECHOED_BYTES = 64 * 1024;
    private static final Duration PATIENCE = Duration.ofSeconds(120);
    private static final List<String> WORK = List.of("arithmetic", "programs", "files", "echo");
    private static final String TERMINAL = "terminal";
    private static final String PARENTS_FILE = "/root/from-the-parent";
    private static final String OWN_FILE = "/root/own";
    private static final byte[] PARENTS_CONTENT = random(1, 256 * 1024);

    private Path root;
    private HypervisorConfig config;
    private QemuHypervisor hypervisor;
    private LocalCubelet cubelet;
    private final Set<String> uuids = ConcurrentHashMap.newKeySet();
    private int parentsKilled;
    private int sandboxesKilled;

    /** Sets to work what the children must go on with, and is cut off in the midst of traffic. */
    private static final GuestPreparation BUSY = new GuestPreparation() {
        @Override
        public void warmUp(GuestAgent agent, Consumer<String> log) {
            write(agent, "/work.pl", resource("work.pl"));
        }

        @Override
        public void exercise(GuestAgent agent) {
            write(agent, PARENTS_FILE, PARENTS_CONTENT);
            WORK.forEach(kind -> agent.start(spec(kind, List.of("perl", "/work.pl", kind), Optional.empty())).close());
            agent.start(spec(TERMINAL, List.of("cat"), Optional.of(new ProcessSpec.PtySize(80, 24)))).close();
            awaitWork(agent, 3);
            assertThat(echo(agent, PARENTS_CONTENT)).isEqualTo(PARENTS_CONTENT);
            GuestStream stream = agent.connect(ECHO_PORT);
            Thread.ofVirtual().start(() -> sendUntilCutOff(stream));
            Thread.ofVirtual().start(() -> {
                try {
                    stream.input().transferTo(OutputStream.nullOutputStream());
                } catch (IOException | GuestException e) {
                    // Cut off, as is meant.
                }
            });
            pause(ThreadLocalRandom.current().nextInt(50));
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

    @BeforeEach
    void open() throws Exception {
        // Not JUnit's directory: paths of sockets must be short.
        root = Files.createTempDirectory("bs");
        config = HypervisorConfig.of(Files.createDirectory(root.resolve("home")),
                        Path.of(System.getProperty("cube.artifacts", "/var/lib/cube/artifacts")).toAbsolutePath())
                .withAccelerator(AcceleratorChoice.TCG).withPool(2, 1, 2);
        hypervisor = QemuHypervisor.open(config);
        cubelet = new LocalCubelet(hypervisor, AgentConnection::open,
                new BaseDiskBuilder(UnpackLimits.DEFAULT, RegistryCredentials.anonymous()), BUSY,
                NodeLimits.forMachine(), new SimpleMeterRegistry());
    }

    @AfterEach
    void close() throws IOException {
        if (cubelet != null) {
            cubelet.list().forEach(sandbox -> cubelet.destroy(sandbox.id()));
            cubelet.close();
            hypervisor.close();
        }
        List<Long> left = qemus().keySet().stream().toList();
        left.forEach(BusySandboxForkIT::kill);
        TemplateFiles.delete(root);
        assertThat(left).as("processes left behind").isEmpty();
    }

    @Test
    void sandboxesOfABusyParentGoOn() throws Exception {
        Path image = OciLayout.make(root.resolve("oci"), List.of("sh", "cat", "sleep", "perl"), """
                {"Env": ["PATH=/bin"], "Cmd": ["sleep", "100000"]}""");
        Template template = cubelet.templateBuilder().build(
                new TemplateBuilder.Request("oci:" + image, new VmShape(2, 256), 64 << 20, List.of(), Optional.empty()),
                root.resolve("template"), line -> { });
        int made = 0;
        try (ExecutorService users = Executors.newVirtualThreadPerTaskExecutor()) {
            while (made < SANDBOXES) {
                await().atMost(PATIENCE).until(() -> hypervisor.isWarm(template.image()));
                List<Future<?>> lives = new ArrayList<>();
                for (int i = 0; i < AT_ONCE; i++) {
                    String id = "busy-" + made++;
                    lives.add(users.submit(() -> live(id, template)));
                }
                for (Future<?> life : lives) {
                    life.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
                }
                disturb(template);
            }
        }
        LOG.info("{} forks, {} failed; killed: {} sandboxes, {} parents", hypervisor.forked(), hypervisor.failedForks(),
                sandboxesKilled, parentsKilled);
        assertThat(hypervisor.forked()).isEqualTo(made);
        assertThat(hypervisor.failedForks()).as("forks that failed of themselves").isLessThanOrEqualTo(parentsKilled);
        assertThat(uuids).hasSize(made);
    }

    private Void live(String id, Template template) throws Exception {
        Instant before = Instant.now();
        Sandbox sandbox = cubelet.create(new SandboxSpec(id, template.image(), template.environment()));
        GuestAgent agent = sandbox.agent();
        assertThat(text(agent, "/proc/sys/kernel/hostname")).isEqualTo(id);
        uuids.add(text(agent, "/proc/sys/kernel/random/uuid"));
        Instant clock = Instant.ofEpochSecond(Long.parseLong(run(agent, "perl", "-e", "print time")));
        assertThat(clock).as("the guest's clock").isBetween(before.minusSeconds(1), Instant.now().plusSeconds(1));
        Set<String> tags = agent.processes().stream().map(ProcessInfo::tag).flatMap(Optional::stream)
                .filter(tag -> !tag.equals(StartCommand.TAG)).collect(Collectors.toSet());
        assertThat(tags).containsAll(WORK).contains(TERMINAL).hasSize(WORK.size() + 1);
        byte[] own = random(id.hashCode(), ECHOED_BYTES);
        assertThat(echo(agent, own)).as("through the port of %s", id).isEqualTo(own);
        checkTerminal(agent, id);
        assertThat(content(agent, PARENTS_FILE)).as("the parent's file in %s", id).isEqualTo(PARENTS_CONTENT);
        assertThat(agent.list("/root", 1)).as("files of %s", id).noneMatch(file -> file.path().equals(OWN_FILE));
        write(agent, OWN_FILE, own);
        awaitWork(agent, 2);
        assertThat(content(agent, OWN_FILE)).as("own file of %s", id).isEqualTo(own);
        if (ThreadLocalRandom.current().nextInt(8) == 0) {
            killQemu(sandbox);
        } else {
            cubelet.destroy(id);
        }
        return null;
    }

    private void killQemu(Sandbox sandbox) throws Exception {
        Path directory = config.home().resolve("vms").resolve(sandbox.vmId());
        qemus().forEach((pid, cwd) -> {
            if (cwd.equals(directory)) {
                kill(pid);
            }
        });
        assertThat(sandbox.gone().toCompletableFuture().get(PATIENCE.toSeconds(), TimeUnit.SECONDS))
                .contains("its VM died");
        sandboxesKilled++;
    }

    /** VMs' records are in memory, if there is a place for that. */
    private static boolean hasRecord(Path vm) {
        Path run = vm.getParent().resolveSibling("run");
        return Files.exists((Files.exists(run) ? run.resolve(vm.getFileName()) : vm).resolve("vm.json"));
    }

    /** With no sandbox left, a QEMU in a directory with an image is the parent; its children that are ready are not written down. */
    private void disturb(Template template) throws IOException {
        assertThat(cubelet.list()).isEmpty();
        if (ThreadLocalRandom.current().nextInt(6) > 0) {
            return;
        }
        await().atMost(PATIENCE).until(() -> hypervisor.isWarm(template.image()));
        List<Long> parents = qemus().entrySet().stream()
                .filter(qemu -> Files.exists(qemu.getValue().resolve("manifest.json"))
                        && hasRecord(qemu.getValue())).map(Map.Entry::getKey).toList();
        assertThat(parents).as("QEMUs with an image").hasSize(1);
        kill(parents.getFirst());
        parentsKilled++;
        await().atMost(PATIENCE).until(() -> !hypervisor.isWarm(template.image()));
    }

    private static void checkTerminal(GuestAgent agent, String id) {
        int pid = agent.processes().stream().filter(process -> process.tag().equals(Optional.of(TERMINAL))).findFirst()
                .orElseThrow().pid();
        try (GuestProcess terminal = agent.attach(pid)) {
            byte[] line = (id + "-line\n").getBytes(StandardCharsets.UTF_8);
            terminal.write(line, 0, line.length);
            StringBuilder seen = new StringBuilder();
            // The terminal's echo, and cat's.
            while (seen.toString().split(id + "-line", -1).length < 3) {
                assertThat(terminal.next()).isInstanceOfSatisfying(ProcessEvent.Output.class,
                        output -> seen.append(new String(output.data(), StandardCharsets.UTF_8)));
            }
        }
    }

    /** Until each of the processes has done some more rounds of its work; the echo has none. */
    private static void awaitWork(GuestAgent agent, int more) {
        Map<String, Integer> begin = new HashMap<>();
        for (String kind : WORK) {
            await().pollInterval(Duration.ofMillis(10)).atMost(PATIENCE).ignoreException(GuestException.class).until(() -> {
                String[] note = text(agent, "/tmp/" + kind).split(" ", 2);
                if (note.length < 2) {
                    return false; // not written yet
                }
                assertThat(note[1]).as("state of %s", kind).isEqualTo("ok");
                int rounds = Integer.parseInt(note[0]);
                return kind.equals("echo") || rounds >= begin.computeIfAbsent(kind, unknown -> rounds) + more;
            });
        }
    }

    private static byte[] echo(GuestAgent agent, byte[] data) {
        try (GuestStream stream = agent.connect(ECHO_PORT)) {
            Thread.ofVirtual().start(() -> {
                try (OutputStream output = stream.output()) {
                    output.write(data);
                } catch (IOException | GuestException e) {
                    LOG.debug("the echo's reader is told by what is missing", e);
                }
            });
            return stream.input().readAllBytes();
        } catch (IOException e) {
            throw new AssertionError("the echo broke", e);
        }
    }

    private static void sendUntilCutOff(GuestStream stream) {
        try {
            while (true) {
                stream.output().write(PARENTS_CONTENT);
            }
        } catch (IOException | GuestException e) {
            // Cut off, as is meant.
        }
    }

    private static ProcessSpec spec(String tag, List<String> command, Optional<ProcessSpec.PtySize> pty) {
        return new ProcessSpec(command.getFirst(), command.subList(1, command.size()), Map.of(), Optional.empty(), "root",
                Optional.of(tag), pty, false);
    }

    private static String run(GuestAgent agent, String program, String... arguments) {
        StringBuilder output = new StringBuilder();
        try (GuestProcess process = agent.start(new ProcessSpec(program, List.of(arguments), Map.of(), Optional.empty(),
                "root", Optional.empty(), Optional.empty(), false))) {
            while (process.next() instanceof ProcessEvent.Output out) {
                output.append(new String(out.data(), StandardCharsets.UTF_8));
            }
        }
        return output.toString();
    }

    private static byte[] content(GuestAgent agent, String path) {
        try (GuestFileReader file = agent.read(path)) {
            return file.input().readAllBytes();
        } catch (IOException e) {
            throw new AssertionError(path + " cannot be read", e);
        }
    }

    private static String text(GuestAgent agent, String path) {
        return new String(content(agent, path), StandardCharsets.UTF_8).strip();
    }

    private static void write(GuestAgent agent, String path, byte[] content) {
        try (GuestFileWriter file = agent.write(path, "root", Optional.empty())) {
            file.write(content, 0, content.length);
            file.commit();
        }
    }

    private static byte[] resource(String name) {
        try (var in = BusySandboxForkIT.class.getResourceAsStream(name)) {
            return in.readAllBytes();
        } catch (IOException e) {
            throw new AssertionError(name, e);
        }
    }

    private static byte[] random(int seed, int size) {
        byte[] result = new byte[size];
        new Random(seed).nextBytes(result);
        return result;
    }

    private static void pause(int millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void kill(long pid) {
        ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly);
    }

    /** Directories of the processes of this test, by process ID. */
    private Map<Long, Path> qemus() {
        Map<Long, Path> result = new HashMap<>();
        ProcessHandle.allProcesses().map(ProcessHandle::pid).forEach(pid -> {
            try {
                Path directory = Files.readSymbolicLink(Path.of("/proc/" + pid + "/cwd"));
                if (directory.startsWith(config.home())) {
                    result.put(pid, directory);
                }
            } catch (IOException e) {
                // It has ended.
            }
        });
        return result;
    }
}
