package dev.cube.hypervisor;

import java.util.OptionalLong;
import java.util.concurrent.CompletionStage;

/**
 * A snapshot of a VM, usable at once. Until it is {@linkplain #durable durable} it survives the server's death, not the
 * machine's. Thread-safe.
 */
public interface VmSnapshot {
    /** What {@link VmFactory#start} takes, at once; its directory appears when the snapshot is durable. */
    VmImage image();

    /**
     * Completes when the image is on disk, or with a {@link HypervisorException} that says why it could not be written.
     * What could not be written is held as before.
     */
    CompletionStage<Void> durable();

    /** Writes the image again if that has failed, in the background; {@link #durable} tells the outcome from then on. */
    void retry();

    /** Completes with the reason when the snapshot is lost: its holder died before it was durable. */
    CompletionStage<String> lost();

    /** Bytes of guest memory that were written for this snapshot alone; empty until it is durable. */
    OptionalLong writtenBytes();
}
