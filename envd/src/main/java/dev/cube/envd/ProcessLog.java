package dev.cube.envd;

import java.util.List;

/** Is told of the processes that clients start. Thread-safe; must not block. */
public interface ProcessLog {
    /** Tells nobody. */
    ProcessLog NONE = new ProcessLog() {
        @Override
        public void started(String sandboxId, int pid, String command, List<String> arguments) {}

        @Override
        public void ended(String sandboxId, int pid, String status) {}
    };

    void started(String sandboxId, int pid, String command, List<String> arguments);

    /** @param status such as {@code exit status 1} or {@code signal: killed} */
    void ended(String sandboxId, int pid, String status);
}
