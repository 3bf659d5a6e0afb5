package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Reads the memory of another process, by {@code /proc/PID/mem}. Not by {@code process_vm_readv}: that pins the pages, and
 * for a pin the kernel gives a process pages of its own in place of those it shares with its forks.
 */
final class ProcessMemory implements AutoCloseable {
    private final long pid;
    private final FileChannel memory;

    private ProcessMemory(long pid, FileChannel memory) {
        this.pid = pid;
        this.memory = memory;
    }

    static ProcessMemory open(long pid) throws IOException {
        return new ProcessMemory(pid, FileChannel.open(Path.of("/proc/" + pid + "/mem"), StandardOpenOption.READ));
    }

    /** Fills what remains of a buffer from an address on; a direct buffer spares a copy. */
    void read(long address, ByteBuffer buffer) throws IOException {
        long at = address;
        while (buffer.hasRemaining()) {
            int read = memory.read(buffer, at);
            if (read <= 0) {
                throw new IOException("the memory of process " + pid + " could not be read");
            }
            at += read;
        }
    }

    @Override
    public void close() throws IOException {
        memory.close();
    }
}
