package dev.cube.envd.process;

import dev.cube.envd.rpc.process.ProcessEvent.EndEvent;
import dev.cube.guest.ProcessEvent;

/** Tells of a process's end in the words of envd, which are those of Go's {@code os.ProcessState}. */
final class ExitStatus {
    /** Names of Linux's signals 1 to 15, as Go writes them. */
    private static final String[] SIGNALS = {"hangup", "interrupt", "quit", "illegal instruction",
        "trace/breakpoint trap", "aborted", "bus error", "floating point exception", "killed", "user defined signal 1",
        "segmentation fault", "user defined signal 2", "broken pipe", "alarm clock", "terminated"};

    private ExitStatus() {}

    static EndEvent describe(ProcessEvent.Exited exit) {
        if (exit.signal() != 0) {
            String status = "signal: " + signalName(exit.signal());
            return EndEvent.newBuilder().setExitCode(-1).setStatus(status).setError(status).build();
        }
        String status = "exit status " + exit.exitCode();
        var event = EndEvent.newBuilder().setExitCode(exit.exitCode()).setExited(true).setStatus(status);
        return exit.exitCode() == 0 ? event.build() : event.setError(status).build();
    }

    private static String signalName(int signal) {
        return signal >= 1 && signal <= SIGNALS.length ? SIGNALS[signal - 1] : "signal " + signal;
    }
}
