package dev.cube.cubelet;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The kernel's choice of whom to kill when memory runs out; see proc_pid_oom_score_adj(5). */
final class OomScore {
    /** Thousandths of all memory that the process seems to use on top of what it really uses. */
    private static final String VICTIM = "500";

    private OomScore() {}

    /** Has a process taken before those that did not ask for it. Raising the score needs no privilege. */
    static void prefer(long pid) throws IOException {
        Files.writeString(Path.of("/proc/" + pid + "/oom_score_adj"), VICTIM);
    }
}
