package dev.cube.server;

import dev.cube.envd.ProcessLog;
import dev.cube.master.SandboxLogs;
import java.util.List;
import java.util.Map;

/** Writes into the sandboxes' logs which processes clients start. */
final class LoggedProcesses implements ProcessLog {
    private static final String LOGGER = "process";

    private final SandboxLogs logs;

    LoggedProcesses(SandboxLogs logs) {
        this.logs = logs;
    }

    @Override
    public void started(String sandboxId, int pid, String command, List<String> arguments) {
        logs.record(sandboxId, SandboxLogs.Level.INFO, LOGGER, "process started",
                Map.of("pid", Integer.toString(pid), "cmd", command, "args", String.join(" ", arguments)));
    }

    @Override
    public void ended(String sandboxId, int pid, String status) {
        logs.record(sandboxId, SandboxLogs.Level.INFO, LOGGER, "process ended",
                Map.of("pid", Integer.toString(pid), "status", status));
    }
}
