package dev.cube.sdk;

import java.util.Optional;

/**
 * A snapshot to take.
 *
 * @param name    it can be asked for by; empty: only its ID
 * @param durable whether to wait until it would survive the death of the machine, instead of until it is usable
 */
public record SnapshotOptions(Optional<String> name, boolean durable) {
    /** No name; returns when the snapshot is usable. */
    public static final SnapshotOptions DEFAULT = new SnapshotOptions(Optional.empty(), false);

    public SnapshotOptions withName(String newName) {
        return new SnapshotOptions(Optional.of(newName), durable);
    }

    public SnapshotOptions untilDurable() {
        return new SnapshotOptions(name, true);
    }
}
