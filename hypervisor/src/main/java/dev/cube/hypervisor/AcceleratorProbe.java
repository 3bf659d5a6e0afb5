package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds the accelerator that works here, by running a guest: that {@code /dev/kvm} can be opened proves nothing. What was
 * found is remembered for as long as the machine is up and kernel and QEMU are the same.
 */
final class AcceleratorProbe {
    private static final Logger LOG = LoggerFactory.getLogger(AcceleratorProbe.class);
    private static final VmShape SHAPE = new VmShape(1, 256);
    private static final Duration LOOK_EVERY = Duration.ofMillis(100);
    private static final Duration KVM_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration TCG_TIMEOUT = Duration.ofSeconds(120);
    /** The kernel prints it, at log level 6, when all of it is up and the first process begins. */
    private static final String KERNEL_IS_UP = "Run /init as init process";

    private final HypervisorConfig config;
    private final Artifacts artifacts;
    private final QemuVersion version;
    private final VmDirectories directories;
    private final long tscKhz;

    AcceleratorProbe(HypervisorConfig config, Artifacts artifacts, QemuVersion version, VmDirectories directories,
            long tscKhz) {
        this.config = config;
        this.artifacts = artifacts;
        this.version = version;
        this.directories = directories;
        this.tscKhz = tscKhz;
    }

    /**
     * What was found, and for what.
     *
     * @param subject choice, kernel, QEMU and the machine's boot
     */
    private record Finding(String subject, Accelerator accelerator) {}

    Accelerator find() {
        Path memory = config.home().resolve("accelerator.json");
        try {
            String subject = subject();
            Optional<Accelerator> remembered = recall(memory, subject);
            if (remembered.isPresent()) {
                return remembered.get();
            }
            Accelerator found = probe();
            JsonFiles.write(memory, new Finding(subject, found));
            return found;
        } catch (IOException e) {
            throw new HypervisorException("cannot look for an accelerator: " + e.getMessage(), e);
        }
    }

    private String subject() throws IOException {
        return "%s; %s; %s %d %d; %s".formatted(config.accelerator(), version.text(), artifacts.kernel(),
                Files.size(artifacts.kernel()), Files.getLastModifiedTime(artifacts.kernel()).toMillis(),
                Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip());
    }

    private static Optional<Accelerator> recall(Path memory, String subject) {
        try {
            Finding finding = JsonFiles.read(memory, Finding.class);
            return finding.subject().equals(subject) ? Optional.of(finding.accelerator()) : Optional.empty();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    private Accelerator probe() {
        String kvmProblem = switch (config.accelerator()) {
            case TCG -> "not wanted";
            case KVM -> tryGuest(Accelerator.KVM, KVM_TIMEOUT);
            case AUTO -> quickReject().orElseGet(() -> tryGuest(Accelerator.KVM, KVM_TIMEOUT));
        };
        if (kvmProblem == null) {
            LOG.info("guests run under KVM");
            return Accelerator.KVM;
        }
        if (config.accelerator() == AcceleratorChoice.KVM) {
            throw new HypervisorException("KVM was asked for and does not run a guest: " + kvmProblem
                    + "; set CUBE_ACCEL=tcg or use another machine or guest kernel");
        }
        String tcgProblem = tryGuest(Accelerator.TCG, TCG_TIMEOUT);
        if (tcgProblem != null) {
            throw new HypervisorException("QEMU cannot run the guest kernel %s: %s"
                    .formatted(artifacts.kernel(), tcgProblem));
        }
        LOG.info("guests run under TCG, in software; KVM: {}", kvmProblem);
        return Accelerator.TCG;
    }

    /**
     * Cases that need no guest. Without the processor's virtualisation KVM is either not there or a software MMU's, where
     * a stock kernel creeps for seconds before it dies; who has a kernel for it can ask for KVM.
     */
    private static Optional<String> quickReject() {
        if (!Files.isReadable(Path.of("/dev/kvm")) || !Files.isWritable(Path.of("/dev/kvm"))) {
            return Optional.of("/dev/kvm is not there or not accessible");
        }
        return CpuInfo.read().hasVirtualisation()
                ? Optional.empty() : Optional.of("the processor shows neither vmx nor svm");
    }

    /** @return null, or why the guest did not come up */
    private String tryGuest(Accelerator accelerator, Duration timeout) {
        Machine machine = new Machine(config, artifacts, version, accelerator, directories, tscKhz);
        QemuHandle qemu;
        try {
            qemu = QemuHandle.start(machine, false, directory -> machine.command().boot(directory, SHAPE, artifacts,
                    machine.kernelArguments().replace(" quiet", " loglevel=7"), BlockNodes.EMPTY,
                    BlockNodes.EMPTY_BASE, BlockNodes.EMPTY_WRITABLE));
        } catch (HypervisorException e) {
            return e.getMessage();
        }
        try {
            return watch(qemu, timeout);
        } catch (IOException e) {
            String words = qemu.directory().lastWords();
            return words.isEmpty() ? e.getMessage() : words;
        } finally {
            qemu.destroy();
        }
    }

    private static String watch(QemuHandle qemu, Duration timeout) throws IOException {
        CompletableFuture<QmpEvent> opened = qemu.qmp().next(Boot::isAgentPortOpened);
        qemu.qmp().execute("cont");
        long deadline = System.nanoTime() + timeout.toNanos();
        StringBuilder console = new StringBuilder();
        while (System.nanoTime() < deadline) {
            try {
                opened.get(LOOK_EVERY.toMillis(), TimeUnit.MILLISECONDS);
                return null;
            } catch (TimeoutException e) {
                console.append(Console.take(qemu.qmp()));
                if (console.indexOf(KERNEL_IS_UP) >= 0) {
                    return null;
                }
                String status = qemu.qmp().execute("query-status").path("status").asText();
                if (!status.equals("running")) {
                    return "QEMU stopped the guest: " + status;
                }
            } catch (ExecutionException e) {
                throw new IOException(e.getCause().getMessage(), e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return "interrupted";
            }
        }
        return "the guest kernel was not up after " + timeout.toSeconds() + " s";
    }
}
