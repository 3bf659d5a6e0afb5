package dev.cube.hypervisor;

import java.io.IOException;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.nio.file.Path;

/** The system calls that Java has no interface for, through the Foreign Function and Memory API. */
final class Linux {
    static final int O_RDONLY = 0;
    static final int O_RDWR = 2;
    static final int O_CLOEXEC = 0x80000;
    static final int SEEK_DATA = 3;
    static final int SEEK_HOLE = 4;
    private static final int MFD_CLOEXEC = 1;
    static final int FALLOC_FL_KEEP_SIZE = 1;
    static final int FALLOC_FL_PUNCH_HOLE = 2;
    static final int WNOHANG = 1;
    static final int EINTR = 4;
    static final int ENXIO = 6;
    static final int ENOTTY = 25;
    private static final int LONGEST_VERSION = 64;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final MemoryLayout ERRNO_LAYOUT = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO =
            ERRNO_LAYOUT.varHandle(MemoryLayout.PathElement.groupElement("errno"));
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    private static final AddressLayout POINTER = ValueLayout.ADDRESS;

    private static final MethodHandle OPEN = handle("open", 2, INT, POINTER, INT, INT);
    private static final MethodHandle CLOSE = handle("close", -1, INT, INT);
    private static final MethodHandle LSEEK = handle("lseek", -1, LONG, INT, LONG, INT);
    private static final MethodHandle IOCTL = handle("ioctl", 2, INT, INT, LONG, POINTER);
    private static final MethodHandle WAITPID = handle("waitpid", -1, INT, INT, POINTER, INT);
    private static final MethodHandle FALLOCATE = handle("fallocate", -1, INT, INT, INT, LONG, LONG);
    private static final MethodHandle MEMFD_CREATE = handle("memfd_create", -1, INT, POINTER, INT);
    private static final MethodHandle LIBC_VERSION = LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("gnu_get_libc_version"), FunctionDescriptor.of(POINTER));

    /** A system call failed. */
    static final class CallException extends IOException {
        private static final long serialVersionUID = 1L;
        private final int errno;

        CallException(String call, int errno) {
            super(call + " failed with errno " + errno);
            this.errno = errno;
        }

        int errno() {
            return errno;
        }
    }

    private Linux() {}

    /** @param firstVariadic index of the first variadic argument, or -1 */
    private static MethodHandle handle(String name, int firstVariadic, MemoryLayout result, MemoryLayout... arguments) {
        Linker.Option errno = Linker.Option.captureCallState("errno");
        Linker.Option[] options = firstVariadic < 0
                ? new Linker.Option[] {errno}
                : new Linker.Option[] {errno, Linker.Option.firstVariadicArg(firstVariadic)};
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name),
                FunctionDescriptor.of(result, arguments), options);
    }

    private static RuntimeException unexpected(Throwable e) {
        return e instanceof RuntimeException r ? r : new IllegalStateException("native call failed", e);
    }

    private static CallException failure(String call, MemorySegment state) {
        return new CallException(call, (int) ERRNO.get(state, 0L));
    }

    /** Version of the C library that this program, and so QEMU, runs on: {@code 2.36}. */
    static String libcVersion() {
        try {
            MemorySegment text = (MemorySegment) LIBC_VERSION.invokeExact();
            return text.reinterpret(LONGEST_VERSION).getString(0);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static int open(Path path, int flags) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(ERRNO_LAYOUT);
            int fd;
            try {
                fd = (int) OPEN.invokeExact(state, arena.allocateFrom(path.toString()), flags, 0);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            if (fd < 0) {
                throw failure("open of " + path, state);
            }
            return fd;
        }
    }

    static void close(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            int ignored = (int) CLOSE.invokeExact(arena.allocate(ERRNO_LAYOUT), fd);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    static long seek(int fd, long offset, int whence) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(ERRNO_LAYOUT);
            long position;
            try {
                position = (long) LSEEK.invokeExact(state, fd, offset, whence);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            if (position < 0) {
                throw failure("lseek", state);
            }
            return position;
        }
    }

    static int ioctl(int fd, long request, MemorySegment argument) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(ERRNO_LAYOUT);
            int result;
            try {
                result = (int) IOCTL.invokeExact(state, fd, request, argument);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            if (result < 0) {
                throw failure("ioctl", state);
            }
            return result;
        }
    }

    static void punchHole(int fd, long offset, long length) throws IOException {
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
    }

    /** Has a file be at least so long, and have blocks for all of that. */
    static void allocate(int fd, long length) throws IOException {
        fallocate(fd, 0, 0, length);
    }

    private static void fallocate(int fd, int mode, long offset, long length) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(ERRNO_LAYOUT);
            int result;
            try {
                result = (int) FALLOCATE.invokeExact(state, fd, mode, offset, length);
            } catch (Throwable e) {
                throw unexpected(e);
            }
            if (result < 0) {
                throw failure("fallocate", state);
            }
        }
    }

    /**
     * Memory that other processes of the same user can open as a file, until it is closed or this process ends.
     *
     * @param fd of a memfd_create(2)
     */
    record SharedMemory(int fd) implements AutoCloseable {
        /** @param name for people who look at the process */
        static SharedMemory create(String name, long bytes) throws IOException {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment state = arena.allocate(ERRNO_LAYOUT);
                int fd;
                try {
                    fd = (int) MEMFD_CREATE.invokeExact(state, arena.allocateFrom(name), MFD_CLOEXEC);
                } catch (Throwable e) {
                    throw unexpected(e);
                }
                if (fd < 0) {
                    throw failure("memfd_create", state);
                }
                SharedMemory memory = new SharedMemory(fd);
                try {
                    allocate(fd, bytes);
                } catch (IOException e) {
                    memory.close();
                    throw e;
                }
                return memory;
            }
        }

        /** By which any of the user's processes opens it. */
        Path path() {
            return Path.of("/proc", Long.toString(ProcessHandle.current().pid()), "fd", Integer.toString(fd));
        }

        @Override
        public void close() {
            Linux.close(fd);
        }
    }

    /** What became of an attempt to {@link #reap} a process. */
    enum Reaped {
        YES,
        /** It is a child that has not ended. */
        RUNS,
        /** It is no child of this process, or was reaped before. */
        NO_CHILD
    }

    /** Takes an ended child's entry from the kernel's table, which is there until the last of its threads is gone. */
    static Reaped reap(long pid) {
        try (Arena arena = Arena.ofConfined()) {
            int result = (int) WAITPID.invokeExact(
                    arena.allocate(ERRNO_LAYOUT), (int) pid, MemorySegment.NULL, WNOHANG);
            return result > 0 ? Reaped.YES : result == 0 ? Reaped.RUNS : Reaped.NO_CHILD;
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }
}
