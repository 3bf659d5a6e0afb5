package dev.cube.cubelet;

import dev.cube.guest.Epoch;
import dev.cube.guest.GuestAgent;
import dev.cube.hypervisor.HypervisorException;
import dev.cube.hypervisor.Vm;
import dev.cube.hypervisor.VmFactory;
import dev.cube.hypervisor.VmImage;
import dev.cube.image.BaseDiskBuilder;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The sandboxes of the machine that this process runs on. */
public final class LocalCubelet implements Cubelet {
    private static final Logger LOG = LoggerFactory.getLogger(LocalCubelet.class);

    /** Only seen in a VM that is never handed out. */
    private static final String PARENT_HOSTNAME = "parent";

    private final VmFactory vms;
    private final AgentConnector connector;
    private final NodeLimits limits;
    private final Admission admission;
    private final GuestPreparation preparation;
    private final TemplateBuilder templateBuilder;
    private final Map<String, LocalSandbox> sandboxes = new ConcurrentHashMap<>();
    private final Timer started;
    private final Timer answered;
    private final Counter failures;

    /**
     * @param vms         closed by the caller, after this
     * @param preparation what is warmed up in a template
     */
    public LocalCubelet(VmFactory vms, AgentConnector connector, BaseDiskBuilder disks, GuestPreparation preparation,
            NodeLimits limits, MeterRegistry metrics) {
        this(vms, connector, new ImageDisks(disks), preparation, limits, metrics, MemoryInfo::read);
    }

    LocalCubelet(VmFactory vms, AgentConnector connector, TemplateDisks disks, GuestPreparation preparation,
            NodeLimits limits, MeterRegistry metrics, Supplier<MemoryInfo> memory) {
        this.vms = vms;
        this.connector = connector;
        this.limits = limits;
        this.preparation = preparation;
        admission = new Admission(limits, memory);
        templateBuilder =
                new ImageTemplateBuilder(vms, disks, connector, preparation, admission, limits.agentTimeout(),
                        this::expect);
        started = Timer.builder("cube.vm.start").description("From request to running VM")
                .publishPercentiles(0.5, 0.99).register(metrics);
        answered = Timer.builder("cube.agent.answer").description("From running VM to the agent's first answer")
                .publishPercentiles(0.5, 0.99).register(metrics);
        failures = Counter.builder("cube.vm.start.failures").description("VMs that could not be started")
                .register(metrics);
    }

    @Override
    public Sandbox create(SandboxSpec spec) {
        Admission.Ticket ticket = admission.admit();
        LocalSandbox sandbox;
        long begin = System.nanoTime();
        try {
            Vm vm = vms.start(spec.image());
            started.record(System.nanoTime() - begin, TimeUnit.NANOSECONDS);
            sandbox = new LocalSandbox(spec.id(), vm, connector, limits.agentTimeout());
        } catch (HypervisorException e) {
            ticket.close();
            failures.increment();
            throw new SandboxException(SandboxException.Kind.FAILED, "The sandbox's VM did not start: "
                    + e.getMessage(), e);
        } catch (RuntimeException e) {
            ticket.close();
            failures.increment();
            throw e;
        }
        takeUp(sandbox, new Epoch.Restored(spec.id(), spec.environment()), ticket);
        return sandbox;
    }

    private void takeUp(LocalSandbox sandbox, Epoch epoch, Admission.Ticket ticket) {
        sandboxes.put(sandbox.id(), sandbox);
        sandbox.gone().thenAccept(reason -> {
            sandboxes.remove(sandbox.id(), sandbox);
            ticket.close();
        });
        long begin = System.nanoTime();
        sandbox.open(epoch, () -> {
            answered.record(System.nanoTime() - begin, TimeUnit.NANOSECONDS);
            ticket.settled();
        });
    }

    @Override
    public Optional<Sandbox> find(String id) {
        return Optional.ofNullable(sandboxes.get(id));
    }

    @Override
    public Collection<Sandbox> list() {
        return List.copyOf(sandboxes.values());
    }

    @Override
    public void destroy(String id) {
        LocalSandbox sandbox = sandboxes.get(id);
        if (sandbox != null) {
            sandbox.end("it was deleted");
        }
    }

    @Override
    public Collection<Sandbox> recover(Collection<RunningSandbox> expected) {
        Map<String, RunningSandbox> byVm = expected.stream()
                .collect(Collectors.toMap(RunningSandbox::vmId, Function.identity()));
        List<Sandbox> recovered = new ArrayList<>();
        for (Vm vm : vms.adopt()) {
            RunningSandbox record = byVm.get(vm.id());
            if (record == null) {
                LOG.info("removing VM {}, which belongs to no sandbox", vm.id());
                vm.kill();
                continue;
            }
            LocalSandbox sandbox = new LocalSandbox(record.id(), vm, connector, limits.agentTimeout());
            takeUp(sandbox, record.identified() ? new Epoch.Reattached()
                    : new Epoch.Restored(record.id(), record.environment()), admission.adopted());
            recovered.add(sandbox);
        }
        return recovered;
    }

    @Override
    public Template openTemplate(Path directory) {
        try {
            VmImage image = vms.open(TemplateFiles.image(directory));
            Template template = new Template(image, TemplateFiles.readEnvironment(directory));
            expect(image);
            return template;
        } catch (HypervisorException e) {
            throw new SandboxException(SandboxException.Kind.FAILED, e.getMessage(), e);
        }
    }

    private void expect(VmImage image) {
        vms.expect(image.shape());
        vms.keepWarm(image, this::exercise);
    }

    private void exercise(Vm vm) {
        try (GuestAgent agent =
                connector.connect(vm.agentSocket(), new Epoch.Restored(PARENT_HOSTNAME, Map.of()), limits.agentTimeout())) {
            preparation.exercise(agent);
        }
    }

    @Override
    public void deleteTemplate(Path directory) {
        try {
            vms.forget(TemplateFiles.image(directory));
            TemplateFiles.delete(directory);
        } catch (UncheckedIOException e) {
            throw new SandboxException(SandboxException.Kind.FAILED, e.getMessage(), e);
        }
    }

    @Override
    public TemplateBuilder templateBuilder() {
        return templateBuilder;
    }

    @Override
    public void close() {
        sandboxes.values().forEach(LocalSandbox::release);
        sandboxes.clear();
    }
}
