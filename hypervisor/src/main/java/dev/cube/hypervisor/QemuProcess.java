package dev.cube.hypervisor;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * A QEMU process: one that this server started, or one that an earlier server did.
 *
 * @param startTicks field 22 of {@code /proc/PID/stat}, which tells it from a later process of the same number
 * @param forked     whether it may be a fork, to be reaped here when it has ended; of no effect on others
 */
record QemuProcess(ProcessHandle handle, long startTicks, boolean forked) {
    /** Higher than anything else on the machine: the kernel shall end a sandbox before the server. */
    private static final String OOM_SCORE = "900";
    private static final Duration END_WITHIN = Duration.ofSeconds(30);
    private static final long MOST_MILLIS_BETWEEN_LOOKS = 8;

    /**
     * Starts QEMU in a VM's directory, with the memory library, and without those that are to be absent.
     *
     * @param privateMemory whether its memory is to be a private mapping, or one of the file itself
     * @param forkable      whether the memory library is to keep it fit for being forked
     */
    static QemuProcess start(List<String> command, VmDirectory directory, Artifacts artifacts, boolean privateMemory,
            boolean forkable) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(directory.path().toFile())
                .redirectInput(new File("/dev/null"))
                .redirectErrorStream(true)
                // Appending, so that the file can be emptied while QEMU holds it.
                .redirectOutput(ProcessBuilder.Redirect.appendTo(directory.log().toFile()));
        Map<String, String> environment = builder.environment();
        environment.clear();
        environment.put("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        environment.put("LD_PRELOAD", artifacts.memoryLibrary().toString());
        artifacts.absentLibraries().ifPresent(libraries -> environment.put("LD_LIBRARY_PATH", libraries.toString()));
        environment.put("CUBEMEM_FILE", directory.memory().toString());
        environment.put("CUBEMEM_CONTROL", directory.controlSocket().toString());
        environment.put("CUBEMEM_MODE", privateMemory ? "private" : "shared");
        environment.put("CUBEMEM_OOM_SCORE", OOM_SCORE);
        if (forkable) {
            environment.put("CUBEMEM_FORKABLE", "1");
        }
        // One heap instead of one for each thread: megabytes less for each VM, and QEMU's threads allocate little.
        environment.put("MALLOC_ARENA_MAX", "1");
        Process process = builder.start();
        long pid = process.pid();
        return new QemuProcess(process.toHandle(), startTicksOf(pid).orElse(-1L), false);
    }

    /**
     * A process that another QEMU forked. It is a child of this server, or of init where the first QEMU was started by an
     * earlier server; Java knows nothing of it and does not reap it.
     */
    static QemuProcess forked(long pid) throws IOException {
        ProcessHandle handle = ProcessHandle.of(pid).orElseThrow(() -> new IOException("the forked QEMU is gone"));
        return new QemuProcess(handle, startTicksOf(pid).orElse(-1L), true);
    }

    /** The process of that number, if it is still the one that started then. */
    static Optional<QemuProcess> find(long pid, long startTicks) {
        return ProcessHandle.of(pid)
                .filter(handle -> startTicksOf(pid).filter(ticks -> ticks == startTicks).isPresent())
                .map(handle -> new QemuProcess(handle, startTicks, true));
    }

    private static Optional<Long> startTicksOf(long pid) {
        return statusFields(pid).map(fields -> Long.parseLong(fields[22 - 3]));
    }

    /** Fields of {@code /proc/PID/stat}, from the third on. */
    private static Optional<String[]> statusFields(long pid) {
        try {
            String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
            // The second field is the name, in parentheses, with anything in it.
            return Optional.of(stat.substring(stat.lastIndexOf(')') + 2).split(" "));
        } catch (IOException | RuntimeException e) {
            return Optional.empty();
        }
    }

    long pid() {
        return handle.pid();
    }

    boolean isAlive() {
        return handle.isAlive();
    }

    /** Whether it runs no more, though it may not have been reaped yet. */
    boolean hasEnded() {
        return statusFields(pid()).map(fields -> hasEnded(fields)
                || startTicks >= 0 && Long.parseLong(fields[22 - 3]) != startTicks).orElse(true);
    }

    /** Whether it has ended and, where it is a child that Java knows nothing of, was reaped, which is cheaper to ask. */
    private boolean isGone() {
        return switch (forked ? Linux.reap(pid()) : Linux.Reaped.NO_CHILD) {
            case YES -> true;
            case RUNS -> false;
            case NO_CHILD -> hasEnded();
        };
    }

    /**
     * The state is that of the first thread, which may be gone while others are still ending, and until the last of them is gone
     * the process cannot be reaped.
     */
    private static boolean hasEnded(String[] fields) {
        return fields[0].equals("X") || fields[0].equals("Z") && Integer.parseInt(fields[20 - 3]) <= 1;
    }

    /** Processor time used, of all its threads. */
    Duration cpuTime() {
        return handle.info().totalCpuDuration().orElse(Duration.ZERO);
    }

    CompletableFuture<ProcessHandle> onExit() {
        return handle.onExit();
    }

    /** Ends the process and waits until it is gone. */
    void kill() {
        handle.destroyForcibly();
        long deadline = System.nanoTime() + END_WITHIN.toNanos();
        try {
            // Java itself looks after a process that an earlier server started only every 300 ms, and then more seldom.
            for (long millis = 1; !isGone(); millis = Math.min(2 * millis, MOST_MILLIS_BETWEEN_LOOKS)) {
                if (System.nanoTime() > deadline) {
                    throw new HypervisorException("QEMU process " + pid() + " does not end");
                }
                Thread.sleep(millis);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
