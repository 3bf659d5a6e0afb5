package dev.cube.server;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * The steps that a server takes, counted in the server while it is {@linkplain Plan armed}, and the fault at one of them. Test
 * and server talk by files in one directory, so that what was told outlives the server.
 */
public final class Steps {
    private static final Path NOWHERE = Path.of("/nonexistent");
    private static final int SIGKILL = 9;
    private static final MethodHandle KILL = Linker.nativeLinker().downcallHandle(
            Linker.nativeLinker().defaultLookup().findOrThrow("kill"),
            FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
    private static volatile Path directory = NOWHERE;
    private static String armed = "";
    private static int count;
    private static String last = "";

    /** What happens. */
    enum Fault {
        /** Nothing: steps are only counted. */
        NONE,
        /** {@code kill -9} of the server. */
        SERVER,
        /** {@code kill -9} of the source sandbox's QEMU. */
        SOURCE,
        /** {@code kill -9} of the QEMU that was started last, if one was since the steps are counted. */
        YOUNGEST,
        /** The disk is full from then on. */
        DISK
    }

    /**
     * @param step     at which the fault happens, from 1
     * @param home     the server's, whose file {@code ballast} fills the disk
     * @param source   process ID
     */
    record Plan(int step, Fault fault, Path home, long source, Instant since) {
        static Plan parse(String text) {
            List<String> words = List.of(text.split(" "));
            return new Plan(Integer.parseInt(words.get(0)), Fault.valueOf(words.get(1)), Path.of(words.get(2)),
                    Long.parseLong(words.get(3)), Instant.parse(words.get(4)));
        }

        /** Has the server count, and have the fault. */
        void arm(Path directory) throws IOException {
            disarm(directory);
            Files.deleteIfExists(directory.resolve("steps"));
            Files.deleteIfExists(directory.resolve("fired"));
            Path fresh = directory.resolve("armed.new");
            Files.writeString(fresh, "%d %s %s %d %s".formatted(step, fault, home, source, since));
            Files.move(fresh, directory.resolve("armed"), StandardCopyOption.ATOMIC_MOVE);
        }
    }

    private Steps() {}

    static void open(Path where) {
        directory = where;
    }

    static void disarm(Path directory) throws IOException {
        Files.deleteIfExists(directory.resolve("armed"));
    }

    /** The steps that were taken since a plan was armed. */
    static List<String> taken(Path directory) throws IOException {
        Path steps = directory.resolve("steps");
        return Files.exists(steps) ? Files.readAllLines(steps) : List.of();
    }

    /** The step at which the fault happened, if it has. */
    static Optional<String> fired(Path directory) throws IOException {
        Path fired = directory.resolve("fired");
        return Files.exists(fired) ? Optional.of(Files.readString(fired)) : Optional.empty();
    }

    /** Called by the server's methods. */
    public static synchronized void reached(String step, Object subject) {
        Path plan = directory.resolve("armed");
        if (!Files.exists(plan)) {
            return;
        }
        try {
            String text = Files.readString(plan);
            if (!text.equals(armed)) {
                armed = text;
                count = 0;
                last = "";
            }
            String what = described(step, subject);
            if (what.equals(last)) {
                return; // an overload of the method, called by the other one
            }
            last = what;
            count++;
            String name = count + " " + what;
            Files.writeString(directory.resolve("steps"), name + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            Plan known = Plan.parse(text);
            if (count == known.step()) {
                Files.writeString(directory.resolve("fired"), name);
                happen(known);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** In one line, and without what is another each time. */
    private static String described(String step, Object subject) {
        String words = switch (subject) {
            case String text -> text;
            case Path path -> path.getFileName().toString();
            case null, default -> "";
        };
        return (step + " " + words).strip();
    }

    private static void happen(Plan plan) throws IOException {
        switch (plan.fault()) {
            case NONE -> { }
            case SERVER -> kill(ProcessHandle.current().pid());
            case SOURCE -> kill(plan.source());
            case YOUNGEST -> youngest(plan).ifPresent(process -> kill(process.pid()));
            case DISK -> fill(plan.home().resolve("ballast"));
        }
    }

    private static Optional<ProcessHandle> youngest(Plan plan) {
        // The time is known to a second only.
        return TestedServer.qemus(plan.home())
                .filter(process -> process.pid() != plan.source() && started(process).isAfter(plan.since()))
                .max(Comparator.comparing(Steps::started));
    }

    private static Instant started(ProcessHandle process) {
        return process.info().startInstant().orElse(Instant.MIN);
    }

    private static void kill(long pid) {
        try {
            int ignored = (int) KILL.invokeExact((int) pid, SIGKILL);
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    private static void fill(Path ballast) throws IOException {
        byte[] piece = new byte[64 << 10];
        try (OutputStream file = Files.newOutputStream(ballast)) {
            for (int size = piece.length; size > 0; size /= 2) {
                fill(file, piece, size);
            }
        }
    }

    private static void fill(OutputStream file, byte[] piece, int size) {
        try {
            while (true) {
                file.write(piece, 0, size);
            }
        } catch (IOException e) {
            // Full, but for less than this.
        }
    }
}
