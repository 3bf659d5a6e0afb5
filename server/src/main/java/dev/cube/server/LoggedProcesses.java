package dev.cube.server;

import dev.cube.envd.ProcessLog;
import dev.cube.master.SandboxLogs;
import java.util.List;
import java.util.Map;

/** Writes into the sandboxes' logs which processes clients start, in the words of E2B's envd. */
final class LoggedProcesses implements ProcessLog {
    private static final String LOGGER = "process";

    private final SandboxLogs logs;

    LoggedProcesses(SandboxLogs logs) {
        this.logs = logs;
    }

    @Override
    public void started(String sandboxId, int pid, String command, List<String> arguments) {
        record(sandboxId, "process_start", pid, "started", "command", command + " " + String.join(" ", arguments));
    }

    @Override
    public void ended(String sandboxId, int pid, String status) {
        record(sandboxId, "process_end", pid, "ended", "status", status);
    }

    private void record(String sandboxId, String type, int pid, String what, String field, String value) {
        logs.record(sandboxId, SandboxLogs.Level.INFO, LOGGER, "Process with pid %d %s".formatted(pid, what),
                Map.of("event_type", type, "pid", Integer.toString(pid), field, value));
    }
}
