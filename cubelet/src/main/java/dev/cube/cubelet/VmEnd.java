package dev.cube.cubelet;

import dev.cube.hypervisor.Vm;
import dev.cube.hypervisor.VmExit;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** How a VM ended: a better reason to report than that its agent is gone. */
final class VmEnd {
    /** QEMU's death is noticed within moments of its agent socket's end. */
    private static final Duration NOTICE = Duration.ofSeconds(1);

    private VmEnd() {}

    /** The end of a VM that has ended, or does so at this moment. */
    static Optional<VmExit> soonOf(Vm vm) {
        try {
            return Optional.of(vm.exit().toCompletableFuture().get(NOTICE.toMillis(), TimeUnit.MILLISECONDS));
        } catch (TimeoutException | ExecutionException e) {
            return Optional.empty();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Optional.empty();
        }
    }

    static String describe(VmExit exit) {
        return exit.expected() ? "it was ended" : "its VM died: " + exit.reason();
    }
}
