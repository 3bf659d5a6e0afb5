package dev.cube.cubelet;

import dev.cube.guest.Epoch;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.ProcessSpec;
import dev.cube.hypervisor.BootSpec;
import dev.cube.hypervisor.HypervisorException;
import dev.cube.hypervisor.Vm;
import dev.cube.hypervisor.VmFactory;
import dev.cube.hypervisor.VmImage;
import dev.cube.image.ImageConfig;
import dev.cube.image.ImageException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Makes templates with this machine's hypervisor. */
final class ImageTemplateBuilder implements TemplateBuilder {
    private static final Logger LOG = LoggerFactory.getLogger(ImageTemplateBuilder.class);
    /** Only seen by what runs before the snapshot; every sandbox has its own. */
    private static final String HOSTNAME = "template";
    /** An image's server may take its time under TCG, where it computes 16 times slower. */
    private static final Duration PROBE_DEADLINE = Duration.ofSeconds(90);
    private static final Duration PROBE_INTERVAL = Duration.ofMillis(200);
    private static final int CONSOLE_LINES = 20;
    /** A guest is told of a full disk by I/O errors on its own, when less than a cluster of its overlay is left. */
    private static final long FULL_DISK_BYTES = 1 << 20;

    private final VmFactory vms;
    private final TemplateDisks disks;
    private final AgentConnector connector;
    private final GuestPreparation preparation;
    private final Admission admission;
    private final Duration agentTimeout;
    private final Consumer<Template> ready;

    /** @param ready is told each template from which sandboxes can be started */
    ImageTemplateBuilder(VmFactory vms, TemplateDisks disks, AgentConnector connector, GuestPreparation preparation,
            Admission admission, Duration agentTimeout, Consumer<Template> ready) {
        this.vms = vms;
        this.disks = disks;
        this.connector = connector;
        this.preparation = preparation;
        this.admission = admission;
        this.agentTimeout = agentTimeout;
        this.ready = ready;
    }

    @Override
    public Template build(Request request, Path directory, Consumer<String> log) throws InterruptedException {
        try {
            Files.createDirectory(directory);
        } catch (IOException e) {
            throw new SandboxException(SandboxException.Kind.FAILED,
                    "The directory %s cannot be made: %s".formatted(directory, e), e);
        }
        boolean whole = false;
        try {
            Template template = buildIn(request, directory, new Steps(log));
            if (Thread.interrupted()) {
                throw new InterruptedException();
            }
            whole = true;
            ready.accept(template);
            return template;
        } catch (IOException | UncheckedIOException | ImageException | GuestException | HypervisorException e) {
            if (Thread.interrupted() || causedByInterruption(e)) {
                throw interrupted(e);
            }
            throw new SandboxException(SandboxException.Kind.FAILED, e.getMessage(), e);
        } finally {
            if (!whole) {
                removeQuietly(directory);
            }
        }
    }

    private static InterruptedException interrupted(Exception cause) {
        InterruptedException interruption = new InterruptedException("cancelled");
        interruption.initCause(cause);
        return interruption;
    }

    private static boolean causedByInterruption(Throwable e) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof InterruptedException || cause instanceof ClosedByInterruptException) {
                return true;
            }
        }
        return false;
    }

    private static void removeQuietly(Path directory) {
        try {
            TemplateFiles.delete(directory);
        } catch (UncheckedIOException e) {
            LOG.warn("{} is left behind until the next start: {}", directory, e.getMessage());
        }
    }

    private Template buildIn(Request request, Path directory, Steps steps) throws IOException, InterruptedException {
        Path base = TemplateFiles.baseDisk(directory);
        Path writable = TemplateFiles.writableDisk(directory);
        ImageConfig config = steps.run("Base disk from " + request.image(),
                () -> disks.makeBase(request.image(), base, steps.log()::accept));
        steps.run("Writable disk", () -> {
            disks.makeWritable(writable, request.writableLayerBytes());
            return null;
        });
        VmImage image;
        try (Admission.Ticket ticket = admission.admit()) {
            Vm vm = steps.run("Boot", () -> vms.boot(new BootSpec(request.shape(), base, writable)));
            try {
                prepare(vm, config, request, steps);
                ticket.settled();
                image = steps.run("Snapshot", () -> vm.capture(TemplateFiles.image(directory)));
            } catch (GuestException e) {
                logConsole(vm, steps.log());
                if (Thread.currentThread().isInterrupted() || causedByInterruption(e)) {
                    throw e;
                }
                throw new SandboxException(SandboxException.Kind.FAILED, whyNoAnswer(vm, directory, e), e);
            } catch (RuntimeException | IOException | InterruptedException e) {
                logConsole(vm, steps.log());
                throw e;
            } finally {
                killUninterrupted(vm);
            }
        }
        steps.run("Writing to disk", () -> {
            TemplateFiles.complete(directory, config);
            return null;
        });
        return new Template(image, config.environment());
    }

    /** A guest whose VM died, or whose disk cannot be written any more, knows less of the reason than this side. */
    private static String whyNoAnswer(Vm vm, Path directory, GuestException e) {
        Optional<String> end = e.kind() == GuestException.Kind.DISCONNECTED
                ? VmEnd.soonOf(vm).map(VmEnd::describe) : Optional.empty();
        return end.orElse(e.getMessage()) + (isFull(directory) ? "; " + directory + ": No space left on device" : "");
    }

    private static boolean isFull(Path directory) {
        try {
            return Files.getFileStore(directory).getUsableSpace() < FULL_DISK_BYTES;
        } catch (IOException e) {
            LOG.debug("cannot tell how full the disk of {} is", directory, e);
            return false;
        }
    }

    private static void killUninterrupted(Vm vm) {
        boolean interrupted = Thread.interrupted();
        try {
            vm.kill();
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private void prepare(Vm vm, ImageConfig config, Request request, Steps steps)
            throws IOException, InterruptedException {
        Epoch epoch = new Epoch.Restored(HOSTNAME, config.environment());
        try (GuestAgent agent = steps.run("Agent's first answer",
                () -> connector.connect(vm.agentSocket(), epoch, agentTimeout))) {
            Optional<ProcessSpec> command = StartCommand.of(config, GuestUsers.nameOf(agent, config.user()));
            try (ImageCommand running = command.map(spec -> start(agent, spec, steps.log())).orElse(null)) {
                steps.run("Warm-up", () -> {
                    preparation.warmUp(agent, steps.log());
                    return null;
                });
                if (request.probePort().isPresent()) {
                    int port = request.probePort().get();
                    steps.run("Probe of port " + port, () -> probe(agent, port, Optional.ofNullable(running)));
                }
            }
            // The less is dirty in the guest's page cache, the less each sandbox writes to its own disk later.
            GuestDisk.sync(agent);
        }
    }

    private static ImageCommand start(GuestAgent agent, ProcessSpec spec, Consumer<String> log) {
        log.accept("Starting the image's command as %s: %s %s"
                .formatted(spec.user(), spec.command(), String.join(" ", spec.args())));
        return new ImageCommand(agent, spec, log);
    }

    private Void probe(GuestAgent agent, int port, Optional<ImageCommand> command) throws InterruptedException {
        long deadline = System.nanoTime() + PROBE_DEADLINE.toNanos();
        while (!preparation.probe(agent, port)) {
            if (System.nanoTime() > deadline) {
                throw new SandboxException(SandboxException.Kind.FAILED,
                        "Nothing answered on the probe's port %d within %d s%s".formatted(port,
                                PROBE_DEADLINE.toSeconds(), command.flatMap(ImageCommand::ended)
                                        .map(end -> "; the image's command ended with " + end).orElse("")));
            }
            Thread.sleep(PROBE_INTERVAL);
        }
        return null;
    }

    private static void logConsole(Vm vm, Consumer<String> log) {
        List<String> console = vm.console().lines().toList();
        console.subList(Math.max(0, console.size() - CONSOLE_LINES), console.size())
                .forEach(line -> log.accept("console: " + line));
    }

    /** Runs steps, and says how long each took. */
    private record Steps(Consumer<String> log) {
        <T> T run(String name, Callable<T> step) throws IOException, InterruptedException {
            if (Thread.interrupted()) {
                throw new InterruptedException();
            }
            long begin = System.nanoTime();
            T result;
            try {
                result = step.call();
            } catch (RuntimeException | IOException | InterruptedException e) {
                throw e;
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
            log.accept(String.format(Locale.ROOT, "%s: %.1f s", name, (System.nanoTime() - begin) / 1e9));
            return result;
        }
    }
}
