package dev.cube.sdk;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Commands in a sandbox; get it from {@link Sandbox#commands}. They are run by a login bash, as in E2B's clients. */
public final class Commands {
    private final SandboxServices services;

    Commands(SandboxServices services) {
        this.services = services;
    }

    /** Runs a command and waits for its end. */
    public CommandResult run(String command) {
        return run(command, CommandOptions.DEFAULT);
    }

    public CommandResult run(String command, CommandOptions options) {
        try (RunningCommand running = start(command, options)) {
            return running.waitFor();
        }
    }

    /** Starts a command; returns when it runs. */
    public RunningCommand start(String command, CommandOptions options) {
        Map<String, Object> process = new LinkedHashMap<>();
        process.put("cmd", "/bin/bash");
        process.put("args", List.of("-l", "-c", command));
        process.put("envs", options.environment());
        options.cwd().ifPresent(cwd -> process.put("cwd", cwd));
        return RunningCommand.open(
                services.stream("process.Process/Start", Map.of("process", process, "stdin", options.stdin()),
                        options.user()), options);
    }

    /** Attaches to a command that runs; its output comes from now on. */
    public RunningCommand connect(int pid, CommandOptions options) {
        return RunningCommand.open(
                services.stream("process.Process/Connect", Map.of("process", Map.of("pid", pid)), Optional.empty()),
                options);
    }

    /** Process IDs of the commands that run. */
    public List<Integer> list() {
        List<Integer> pids = new ArrayList<>();
        for (JsonNode process : services.call("process.Process/List", Map.of(), Optional.empty()).path("processes")) {
            pids.add(process.path("pid").asInt());
        }
        return pids;
    }

    /** Writes to the standard input of a command that was started with one. */
    public void sendInput(int pid, byte[] input) {
        services.call("process.Process/SendInput", Map.of("process", Map.of("pid", pid),
                "input", Map.of("stdin", Base64.getEncoder().encodeToString(input))), Optional.empty());
    }

    /** Closes the standard input of a command. */
    public void closeInput(int pid) {
        services.call("process.Process/CloseStdin", Map.of("process", Map.of("pid", pid)), Optional.empty());
    }

    /** Ends a command with SIGKILL. */
    public void kill(int pid) {
        services.call("process.Process/SendSignal",
                Map.of("process", Map.of("pid", pid), "signal", "SIGNAL_SIGKILL"), Optional.empty());
    }
}
