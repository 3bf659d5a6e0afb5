package dev.cube.image;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * The system calls that unpacking needs and that Java's file API lacks, relative to directory descriptors. Names are
 * {@linkplain RawName raw}. Constants and structures are those of Linux on x86-64.
 */
final class Posix {
    static final int ENOENT = 2;
    static final int EEXIST = 17;
    static final int ENOTDIR = 20;

    static final int O_RDONLY = 0;
    static final int O_WRONLY = 1;
    static final int O_CREAT = 0100;
    static final int O_EXCL = 0200;
    static final int O_DIRECTORY = 0200000;
    static final int O_NOFOLLOW = 0400000;
    static final int O_CLOEXEC = 02000000;
    static final int O_PATH = 010000000;

    static final int S_IFMT = 0170000;
    static final int S_IFDIR = 0040000;
    static final int S_IFREG = 0100000;
    static final int S_IFCHR = 0020000;
    static final int S_IFBLK = 0060000;
    static final int S_IFIFO = 0010000;

    /** Type and identity of a file, from {@code statx}. */
    record Status(int mode, long inode) {
        boolean isDirectory() {
            return (mode & S_IFMT) == S_IFDIR;
        }
    }

    private static final int AT_FDCWD = -100;
    private static final int AT_SYMLINK_NOFOLLOW = 0x100;
    private static final int AT_EMPTY_PATH = 0x1000;
    private static final long SYS_OPENAT2 = 437;
    private static final long RESOLVE_NO_MAGICLINKS = 0x02;
    private static final long RESOLVE_IN_ROOT = 0x10;
    private static final int STATX_TYPE_MODE_INO = 0x1 | 0x2 | 0x100;
    private static final int STATX_BLOCKS = 0x400;
    private static final int STATX_SIZE = 256;
    private static final int STATX_MODE_OFFSET = 28;
    private static final int STATX_INO_OFFSET = 32;
    private static final int STATX_BLOCKS_OFFSET = 48;
    private static final int STATX_BLOCK_SIZE = 512;
    private static final int DIRENT_RECLEN_OFFSET = 16;
    private static final int DIRENT_NAME_OFFSET = 19;
    private static final int DIRENT_BUFFER_SIZE = 64 * 1024;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final StructLayout CAPTURED = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO = CAPTURED.varHandle(MemoryLayout.PathElement.groupElement("errno"));

    private static final MethodHandle OPENAT = variadic(3, "openat", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT);
    private static final MethodHandle OPENAT2 =
            variadic(1, "syscall", JAVA_LONG, JAVA_LONG, JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG);
    private static final MethodHandle CLOSE = function("close", JAVA_INT, JAVA_INT);
    private static final MethodHandle PWRITE =
            function("pwrite", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle FTRUNCATE = function("ftruncate", JAVA_INT, JAVA_INT, JAVA_LONG);
    private static final MethodHandle MKDIRAT = function("mkdirat", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    private static final MethodHandle MKNODAT = function("mknodat", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_LONG);
    private static final MethodHandle SYMLINKAT = function("symlinkat", JAVA_INT, ADDRESS, JAVA_INT, ADDRESS);
    private static final MethodHandle LINKAT =
            function("linkat", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, ADDRESS, JAVA_INT);
    private static final MethodHandle UNLINKAT = function("unlinkat", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    private static final MethodHandle RENAMEAT =
            function("renameat", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, ADDRESS);
    private static final MethodHandle FCHOWNAT =
            function("fchownat", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT);
    private static final MethodHandle FCHMODAT =
            function("fchmodat", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT);
    private static final MethodHandle UTIMENSAT =
            function("utimensat", JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT);
    private static final MethodHandle LSETXATTR =
            function("lsetxattr", JAVA_INT, ADDRESS, ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT);
    private static final MethodHandle STATX =
            function("statx", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, ADDRESS);
    private static final MethodHandle GETDENTS64 = function("getdents64", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG);
    private static final MethodHandle STRERROR = LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("strerror"), FunctionDescriptor.of(ADDRESS, JAVA_INT));

    private Posix() {}

    /** Opens a directory by its absolute path, for use as the base of the other calls. */
    static int openDirectory(String path) throws ErrnoException {
        return openAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    }

    static int openAt(int directory, String name, int flags, int mode) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            int fd = (int) OPENAT.invokeExact(state, directory, string(arena, name), flags, mode);
            return (int) check(fd, state, "openat", name);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * Opens a path with {@code root} standing for the root directory: neither {@code ..} nor a symbolic link, absolute
     * or not, leads out of it ({@code openat2} with {@code RESOLVE_IN_ROOT}, Linux 5.6).
     */
    static int openInRoot(int root, String path, int flags) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            MemorySegment how = arena.allocateFrom(JAVA_LONG, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
            long fd = (long) OPENAT2.invokeExact(
                    state, SYS_OPENAT2, root, string(arena, path), how, how.byteSize());
            return (int) check(fd, state, "openat2", path);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Closing a descriptor that was only read or is thrown away on error: a failure changes nothing. */
    static void close(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            int ignored = (int) CLOSE.invokeExact(arena.allocate(CAPTURED), fd);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    /** Writes all of {@code data} at {@code offset}. */
    static void write(int fd, MemorySegment data, long offset, String name) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            long done = 0;
            while (done < data.byteSize()) {
                MemorySegment rest = data.asSlice(done);
                long n = (long) PWRITE.invokeExact(state, fd, rest, rest.byteSize(), offset + done);
                done += check(n, state, "pwrite", name);
            }
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static void truncate(int fd, long size, String name) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            check((int) FTRUNCATE.invokeExact(state, fd, size), state, "ftruncate", name);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static void makeDirectory(int directory, String name, int mode) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            check((int) MKDIRAT.invokeExact(state, directory, string(arena, name), mode), state, "mkdirat", name);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Makes a device node or fifo; {@code mode} holds the type as well. */
    static void makeNode(int directory, String name, int mode, int major, int minor) throws ErrnoException {
        // glibc's makedev: 12 low and 20 high bits of the major number around 8 low and 24 high bits of the minor one.
        long device = (major & 0xfffL) << 8 | (major & 0xfffff000L) << 32 | (minor & 0xffL) | (minor & 0xffffff00L) << 12;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            int result = (int) MKNODAT.invokeExact(state, directory, string(arena, name), mode, device);
            check(result, state, "mknodat", name);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static void makeSymbolicLink(String target, int directory, String name) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            int result = (int) SYMLINKAT.invokeExact(state, string(arena, target), directory, string(arena, name));
            check(result, state, "symlinkat", name);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Links to the file itself, also where it is a symbolic link. */
    static void makeHardLink(int fromDirectory, String from, int directory, String name) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            int result = (int) LINKAT.invokeExact(
                    state, fromDirectory, string(arena, from), directory, string(arena, name), 0);
            check(result, state, "linkat", name);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static void unlink(int directory, String name) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            check((int) UNLINKAT.invokeExact(state, directory, string(arena, name), 0), state, "unlinkat", name);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static void rename(int fromDirectory, String from, int directory, String name) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            int result = (int) RENAMEAT.invokeExact(
                    state, fromDirectory, string(arena, from), directory, string(arena, name));
            check(result, state, "renameat", from);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Does not follow a symbolic link. Clears set-user-ID bits and file capabilities, as the kernel does. */
    static void changeOwner(int directory, String name, int uid, int gid) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            int result = (int) FCHOWNAT.invokeExact(
                    state, directory, string(arena, name), uid, gid, AT_SYMLINK_NOFOLLOW);
            check(result, state, "fchownat", name);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Not for symbolic links, which it would follow. */
    static void changeMode(int directory, String name, int mode) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            check((int) FCHMODAT.invokeExact(state, directory, string(arena, name), mode, 0), state, "fchmodat", name);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Sets the times of access and modification, not following a symbolic link. */
    static void changeTime(int directory, String name, TarEntry.Time time) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            MemorySegment times =
                    arena.allocateFrom(JAVA_LONG, time.seconds(), time.nanos(), time.seconds(), time.nanos());
            int result = (int) UTIMENSAT.invokeExact(
                    state, directory, string(arena, name), times, AT_SYMLINK_NOFOLLOW);
            check(result, state, "utimensat", name);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Sets an extended attribute, not following a symbolic link. */
    static void setAttribute(int directory, String name, String attribute, byte[] value) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            // There is no such call relative to a directory before Linux 6.13; the descriptor's magic link is the same.
            MemorySegment path = string(arena, "/proc/self/fd/" + directory + "/" + name);
            MemorySegment bytes = arena.allocateFrom(JAVA_BYTE, value);
            int result = (int) LSETXATTR.invokeExact(
                    state, path, string(arena, attribute), bytes, (long) value.length, 0);
            check(result, state, "lsetxattr " + RawName.display(attribute), name);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Does not follow a symbolic link. An empty name stands for the directory itself. */
    static Status status(int directory, String name) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            MemorySegment buffer = arena.allocate(STATX_SIZE, Long.BYTES);
            int flags = AT_SYMLINK_NOFOLLOW | (name.isEmpty() ? AT_EMPTY_PATH : 0);
            int result = (int) STATX.invokeExact(
                    state, directory, string(arena, name), flags, STATX_TYPE_MODE_INO, buffer);
            check(result, state, "statx", name);
            return new Status(Short.toUnsignedInt(buffer.get(JAVA_SHORT, STATX_MODE_OFFSET)),
                    buffer.get(JAVA_LONG, STATX_INO_OFFSET));
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** What a file takes on the disk, in bytes. */
    static long allocatedBytes(String path) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            MemorySegment buffer = arena.allocate(STATX_SIZE, Long.BYTES);
            int result = (int) STATX.invokeExact(state, AT_FDCWD, string(arena, path), 0, STATX_BLOCKS, buffer);
            check(result, state, "statx", path);
            return buffer.get(JAVA_LONG, STATX_BLOCKS_OFFSET) * STATX_BLOCK_SIZE;
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** The names in a directory, which must be open for reading and at its start. */
    static List<String> list(int directory, String name) throws ErrnoException {
        List<String> names = new ArrayList<>();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CAPTURED);
            MemorySegment buffer = arena.allocate(DIRENT_BUFFER_SIZE, Long.BYTES);
            while (true) {
                long length = (long) GETDENTS64.invokeExact(state, directory, buffer, buffer.byteSize());
                if (check(length, state, "getdents64", name) == 0) {
                    return names;
                }
                for (long at = 0; at < length;) {
                    String entry = buffer.getString(at + DIRENT_NAME_OFFSET, StandardCharsets.ISO_8859_1);
                    if (!entry.equals(".") && !entry.equals("..")) {
                        names.add(entry);
                    }
                    at += Short.toUnsignedInt(buffer.get(ValueLayout.JAVA_SHORT, at + DIRENT_RECLEN_OFFSET));
                }
            }
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    private static MemorySegment string(Arena arena, String raw) {
        return arena.allocateFrom(raw, StandardCharsets.ISO_8859_1);
    }

    private static long check(long result, MemorySegment state, String call, String path) throws ErrnoException {
        if (result >= 0) {
            return result;
        }
        int errno = (int) ERRNO.get(state, 0L);
        throw new ErrnoException(call, path, errno, describe(errno));
    }

    private static String describe(int errno) {
        try {
            MemorySegment text = (MemorySegment) STRERROR.invokeExact(errno);
            return text.reinterpret(Long.MAX_VALUE).getString(0);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    private static ErrnoException rethrow(Throwable e) {
        return switch (e) {
            case ErrnoException failure -> failure;
            case RuntimeException failure -> throw failure;
            case Error failure -> throw failure;
            default -> throw new AssertionError(e);
        };
    }

    private static MethodHandle function(String name, ValueLayout result, ValueLayout... arguments) {
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name),
                FunctionDescriptor.of(result, arguments), Linker.Option.captureCallState("errno"));
    }

    private static MethodHandle variadic(int firstVariadic, String name, ValueLayout result, ValueLayout... arguments) {
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name),
                FunctionDescriptor.of(result, arguments), Linker.Option.captureCallState("errno"),
                Linker.Option.firstVariadicArg(firstVariadic));
    }
}
