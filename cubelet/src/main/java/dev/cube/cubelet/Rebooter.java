package dev.cube.cubelet;

import dev.cube.guest.Epoch;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.ProcessSpec;
import dev.cube.hypervisor.HypervisorException;
import dev.cube.hypervisor.Vm;
import dev.cube.hypervisor.VmFactory;
import dev.cube.hypervisor.VmImage;
import java.nio.file.Path;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Boots guests anew on the disks of paused sandboxes. The VM is nobody's: it ends with the call, or with the server. */
final class Rebooter {
    private static final Logger LOG = LoggerFactory.getLogger(Rebooter.class);

    private final VmFactory vms;
    private final AgentConnector connector;
    private final Admission admission;
    private final Duration agentTimeout;

    Rebooter(VmFactory vms, AgentConnector connector, Admission admission, Duration agentTimeout) {
        this.vms = vms;
        this.connector = connector;
        this.admission = admission;
        this.agentTimeout = agentTimeout;
    }

    /** As {@link Cubelet#reboot}. */
    VmImage reboot(RebootSpec spec, Path directory) {
        try (Admission.Ticket ticket = admission.admit()) {
            Vm vm = vms.reboot(spec.image());
            try {
                startCommand(vm, spec);
                ticket.settled();
                return vm.suspend(directory, true);
            } finally {
                vm.kill();
            }
        } catch (GuestException | HypervisorException e) {
            throw new SandboxException(SandboxException.Kind.FAILED,
                    "The sandbox could not be booted: " + e.getMessage(), e);
        }
    }

    /** Interpreters are not started, which would take ten times as long as all else: they are when they are first used. */
    private void startCommand(Vm vm, RebootSpec spec) {
        try (GuestAgent agent = connector.connect(
                vm.agentSocket(), new Epoch.Restored(spec.id(), spec.environment()), agentTimeout)) {
            TemplateFiles.readConfig(spec.template())
                    .flatMap(config -> StartCommand.of(config, GuestUsers.nameOf(agent, config.user())))
                    .ifPresent(command -> start(agent, command));
        }
    }

    /** Where it cannot be started, as after its program was removed, the sandbox is of use without it. */
    private static void start(GuestAgent agent, ProcessSpec command) {
        try {
            agent.start(command).close();
        } catch (GuestException e) {
            if (e.kind() == GuestException.Kind.DISCONNECTED) {
                throw e;
            }
            LOG.warn("the image's command was not started: {}", e.getMessage());
        }
    }
}
