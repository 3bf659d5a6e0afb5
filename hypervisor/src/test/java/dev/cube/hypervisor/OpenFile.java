package dev.cube.hypervisor;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * A descriptor of some process, as /proc shows it.
 *
 * @param target what the link says: a path, or the kind of a kernel object
 * @param info   flags, and the content of kernel objects
 */
record OpenFile(long pid, int number, String target, String info) {
    /** kcmp(2), on x86-64; the kind of comparison 0 is KCMP_FILE: of open files, which duplicates share. */
    private static final int SYS_KCMP = 312;
    private static final MethodHandle SYSCALL = Linker.nativeLinker().downcallHandle(
            Linker.nativeLinker().defaultLookup().findOrThrow("syscall"),
            FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG),
            Linker.Option.firstVariadicArg(1));

    static SortedMap<Integer, OpenFile> of(long pid) throws IOException {
        SortedMap<Integer, OpenFile> result = new TreeMap<>();
        Path process = Path.of("/proc/" + pid);
        try (DirectoryStream<Path> links = Files.newDirectoryStream(process.resolve("fd"))) {
            for (Path link : links) {
                int number = Integer.parseInt(link.getFileName().toString());
                try {
                    result.put(number, new OpenFile(pid, number, Files.readSymbolicLink(link).toString(),
                            Files.readString(process.resolve("fdinfo").resolve(link.getFileName()))));
                } catch (NoSuchFileException e) {
                    // Closed meanwhile.
                }
            }
        }
        return result;
    }

    /** Whether both are one open file, with one position and one state in the kernel. */
    boolean isSameAs(OpenFile other) {
        long result;
        try {
            result = (long) SYSCALL.invokeExact((long) SYS_KCMP, pid, other.pid, 0L, (long) number, (long) other.number);
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
        if (result < 0) {
            throw new IllegalStateException("kcmp of %s and %s".formatted(this, other));
        }
        return result == 0;
    }

    /** A line of {@link #info}. */
    String line(String name) {
        return info.lines().filter(line -> line.startsWith(name + ":")).findFirst().orElse("");
    }

    boolean isSocket() {
        return target.startsWith("socket:[");
    }

    /** What a unix socket is bound to; empty where it is no unix socket, or has no name. */
    String socketName() throws IOException {
        String inode = target.substring("socket:[".length(), target.length() - 1);
        return Files.readAllLines(Path.of("/proc/net/unix")).stream().map(line -> line.split("\\s+"))
                .filter(fields -> fields.length == 8 && fields[6].equals(inode)).map(fields -> fields[7])
                .findFirst().orElse("");
    }

    boolean isListening() throws IOException {
        String inode = target.substring("socket:[".length(), target.length() - 1);
        // Flags: __SO_ACCEPTCON.
        return Files.readAllLines(Path.of("/proc/net/unix")).stream().map(line -> line.split("\\s+"))
                .anyMatch(fields -> fields.length >= 7 && fields[6].equals(inode) && fields[3].equals("00010000"));
    }

    boolean isReadOnly() {
        return (Integer.parseInt(line("flags").substring("flags:".length()).strip(), 8) & 3) == 0;
    }
}
