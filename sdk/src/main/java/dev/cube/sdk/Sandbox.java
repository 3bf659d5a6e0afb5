package dev.cube.sdk;

import java.time.Duration;
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
