package dev.cube.sdk;

import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** A sandbox. Closing it kills it. Thread-safe. */
public final class Sandbox implements AutoCloseable {
    private final CubeClient client;
    private final SandboxServices services;
    private final Commands commands;
    private final SandboxFiles files;

    Sandbox(CubeClient client, SandboxServices services) {
        this.client = client;
        this.services = services;
        this.commands = new Commands(services);
        this.files = new SandboxFiles(services);
    }

    public String id() {
        return services.sandboxId();
    }

    /** Required on calls to the sandbox's services; empty if it is not secure. */
    public Optional<String> accessToken() {
        return services.accessToken();
    }

    public Commands commands() {
        return commands;
    }

    public SandboxFiles files() {
        return files;
    }

    /** Host name, with a port if it is not 443, under which {@code port} of the sandbox is reached by https. */
    public String host(int port) {
        return services.host(port);
    }

    /** Runs Python in the sandbox's default context, which keeps its state from run to run. */
    public Execution runCode(String code) {
        return runCode(CodeRun.of(code));
    }

    public Execution runCode(CodeRun run) {
        return new Interpreter(services).execute(run);
    }

    public SandboxInfo info() {
        return client.get(id());
    }

    /** Ends the sandbox this long from now, earlier or later than before. */
    public void setTimeout(Duration timeout) {
        client.setTimeout(id(), timeout);
    }

    /** Captures memory and disk; returns when the snapshot is usable. The sandbox goes on. */
    public SnapshotInfo snapshot() {
        return snapshot(SnapshotOptions.DEFAULT);
    }

    public SnapshotInfo snapshot(SnapshotOptions options) {
        return client.snapshots().create(id(), options);
    }

    /** Its snapshots, newest first. */
    public List<SnapshotInfo> snapshots() {
        return client.snapshots().list(id());
    }

    /** Puts the sandbox back to what it was at one of its own snapshots, see {@link CubeClient#rollback}. */
    public void rollback(String snapshotId) {
        client.rollback(id(), snapshotId);
    }

    /** Makes so many sandboxes that are in the same state, or none; this one goes on. */
    public List<Sandbox> clone(int count) {
        return clone(CloneOptions.of(count));
    }

    public List<Sandbox> clone(CloneOptions options) {
        return client.clone(id(), options);
    }

    /** Makes so many sandboxes that are in the same state; each may fail by itself. This one goes on. */
    public List<Fork> fork(int count, Duration timeout) {
        return client.fork(id(), count, timeout);
    }

    /** Writes the memory to disk and frees it; this object is good again after {@link #resume}. */
    public void pause() {
        client.pause(id());
    }

    /** As {@link #pause}, but keeps the disk only: {@link #resume} boots the sandbox. */
    public void pauseWithoutMemory() {
        client.pauseWithoutMemory(id());
    }

    /** Lets the paused sandbox go on, for this long from now. */
    public void resume(Duration timeout) {
        client.resume(id(), timeout);
    }

    public void kill() {
        client.kill(id());
    }

    /** Kills the sandbox, if it is still there. */
    @Override
    public void close() {
        try {
            kill();
        } catch (CubeException e) {
            if (!e.isNotFound()) {
                throw e;
            }
        }
    }
}
