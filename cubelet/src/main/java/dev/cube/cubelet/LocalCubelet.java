package dev.cube.cubelet;

import dev.cube.guest.Epoch;
import dev.cube.guest.GuestAgent;
import dev.cube.hypervisor.FrozenVm;
import dev.cube.hypervisor.HypervisorException;
import dev.cube.hypervisor.Vm;
import dev.cube.hypervisor.VmFactory;
import dev.cube.hypervisor.VmImage;
import dev.cube.hypervisor.VmSnapshot;
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
import java.util.function.Consumer;
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
    private final Rebooter rebooter;
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
        rebooter = new Rebooter(vms, connector, admission, limits.agentTimeout());
        started = Timer.builder("cube.vm.start").description("From request to running VM")
                .publishPercentiles(0.5, 0.99).register(metrics);
        answered = Timer.builder("cube.agent.answer").description("From running VM to the agent's first answer")
                .publishPercentiles(0.5, 0.99).register(metrics);
        failures = Counter.builder("cube.vm.start.failures").description("VMs that could not be started")
                .register(metrics);
    }

    @Override
    public Sandbox create(SandboxSpec spec) {
        return start(spec.id(), spec.environment(), () -> vms.start(spec.image()));
    }

    private LocalSandbox start(String id, Map<String, String> environment, Supplier<Vm> vm) {
        Admission.Ticket ticket = admission.admit();
        LocalSandbox sandbox = start(id, vm, ticket);
        sandboxes.put(id, sandbox);
        open(sandbox, new Epoch.Restored(id, environment), ticket);
        return sandbox;
    }

    private LocalSandbox start(String id, Supplier<Vm> vm, Admission.Ticket ticket) {
        long begin = System.nanoTime();
        try {
            var sandbox = sandbox(id, vm.get(), ticket);
            started.record(System.nanoTime() - begin, TimeUnit.NANOSECONDS);
            return sandbox;
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
    }

    private LocalSandbox sandbox(String id, Vm vm, Admission.Ticket ticket) {
        return new LocalSandbox(id, vm, connector, limits.agentTimeout(), ended -> {
            sandboxes.remove(id, ended);
            ticket.close();
        });
    }

    private void open(LocalSandbox sandbox, Epoch epoch, Admission.Ticket ticket) {
        long begin = System.nanoTime();
        sandbox.open(epoch, () -> {
            answered.record(System.nanoTime() - begin, TimeUnit.NANOSECONDS);
            ticket.settled();
        });
    }

    @Override
    public VmSnapshot snapshot(String id, Path directory) {
        return require(id).snapshot(directory);
    }

    @Override
    public FrozenSandbox freeze(String id, int copies) {
        FrozenVm frozen = require(id).freeze(copies);
        return new FrozenSandbox() {
            @Override
            public Sandbox start(String copy, Map<String, String> environment) {
                return LocalCubelet.this.start(copy, environment, frozen::start);
            }

            @Override
            public Sandbox startLast(String copy, Map<String, String> environment) {
                return LocalCubelet.this.start(copy, environment, frozen::startLast);
            }

            @Override
            public void close() {
                frozen.close();
            }
        };
    }

    @Override
    public VmImage pause(String id, Path directory, boolean keepMemory) {
        return require(id).suspend(directory, keepMemory);
    }

    @Override
    public boolean holdsMemory(Path directory) {
        return translated(() -> vms.holdsMemory(directory));
    }

    @Override
    public VmImage reboot(RebootSpec spec, Path directory) {
        return rebooter.reboot(spec, directory);
    }

    @Override
    public Replacement replace(SandboxSpec spec) {
        LocalSandbox old = require(spec.id());
        // In the old one's place: how many sandboxes there are does not change.
        Admission.Ticket ticket = admission.adopted();
        LocalSandbox fresh = start(spec.id(), () -> vms.start(spec.image()), ticket);
        open(fresh, new Epoch.Restored(spec.id(), spec.environment()), ticket);
        return new Replacement() {
            private boolean inPlace;

            @Override
            public Sandbox sandbox() {
                return fresh;
            }

            @Override
            public void takePlace() {
                inPlace = true;
                sandboxes.put(spec.id(), fresh);
                // It may have ended before it was here to be removed.
                fresh.gone().thenAccept(reason -> sandboxes.remove(spec.id(), fresh));
                old.retire("it was replaced");
            }

            @Override
            public void close() {
                if (!inPlace) {
                    fresh.end("it was not needed");
                }
            }
        };
    }

    private LocalSandbox require(String id) {
        LocalSandbox sandbox = sandboxes.get(id);
        if (sandbox == null) {
            throw new SandboxException(SandboxException.Kind.NOT_FOUND, "Sandbox %s is gone".formatted(id));
        }
        return sandbox;
    }

    @Override
    public VmImage openImage(Path directory) {
        return translated(() -> vms.open(directory));
    }

    private static <T> T translated(Supplier<T> call) {
        try {
            return call.get();
        } catch (HypervisorException e) {
            throw new SandboxException(SandboxException.Kind.FAILED, e.getMessage(), e);
        }
    }

    @Override
    public void forgetUnrecovered() {
        vms.recovered();
    }

    @Override
    public Optional<VmSnapshot> recoverSnapshot(Path directory) {
        return translated(() -> vms.recoverSnapshot(directory));
    }

    @Override
    public void discard(Path directory) {
        try {
            vms.discard(directory);
        } catch (HypervisorException | UncheckedIOException e) {
            throw new SandboxException(SandboxException.Kind.FAILED, e.getMessage(), e);
        }
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
            if (!goesOn(vm)) {
                continue;
            }
            Admission.Ticket ticket = admission.adopted();
            LocalSandbox sandbox = sandbox(record.id(), vm, ticket);
            sandboxes.put(record.id(), sandbox);
            open(sandbox, record.identified() ? new Epoch.Reattached()
                    : new Epoch.Restored(record.id(), record.environment()), ticket);
            recovered.add(sandbox);
        }
        return recovered;
    }

    /** A VM that was just being captured when its server ended stands still. */
    private static boolean goesOn(Vm vm) {
        try {
            vm.resume();
            return true;
        } catch (HypervisorException e) {
            LOG.warn("VM {} cannot go on, and is ended: {}", vm.id(), e.getMessage());
            vm.kill();
            return false;
        }
    }

    @Override
    public Template openTemplate(Path directory) {
        return translated(() -> {
            VmImage image = vms.open(TemplateFiles.image(directory));
            Template template = new Template(image, TemplateFiles.readEnvironment(directory));
            expect(template);
            return template;
        });
    }

    private void expect(Template template) {
        VmImage image = template.image();
        // With its environment: another locale, for one, takes programs along other ways.
        Epoch epoch = new Epoch.Restored(PARENT_HOSTNAME, template.environment());
        vms.expect(image.shape());
        vms.keepWarm(image, vm -> inside(vm, epoch, preparation::exercise),
                vm -> inside(vm, epoch, preparation::useFirst));
    }

    private void inside(Vm vm, Epoch epoch, Consumer<GuestAgent> action) {
        try (GuestAgent agent = connector.connect(vm.agentSocket(), epoch, limits.agentTimeout())) {
            action.accept(agent);
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
