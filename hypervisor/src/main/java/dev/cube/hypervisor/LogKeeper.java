package dev.cube.hypervisor;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Empties the log of a QEMU that writes too much of it, as one whose guest breaks the rules of a device may. QEMU appends,
 * so it goes on at the beginning.
 */
final class LogKeeper implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LogKeeper.class);
    static final long MAX_BYTES = 1 << 20;
    private static final Duration INTERVAL = Duration.ofSeconds(10);

    private final VmDirectories vms;
    private final Thread thread;

    LogKeeper(VmDirectories vms) {
        this.vms = vms;
        this.thread = Thread.ofVirtual().name("log-keeper").start(this::run);
    }

    private void run() {
        try {
            while (true) {
                Thread.sleep(INTERVAL);
                emptyLargeLogs(vms);
            }
        } catch (InterruptedException e) {
            // Closed.
        }
    }

    static void emptyLargeLogs(VmDirectories vms) {
        try (var directories = Files.newDirectoryStream(vms.vms())) {
            for (Path directory : directories) {
                Path log = vms.of(directory).log();
                if (Files.exists(log) && Files.size(log) > MAX_BYTES) {
                    LOG.warn("emptying the log of VM {}, whose QEMU writes too much", directory.getFileName());
                    try (FileChannel channel = FileChannel.open(log, StandardOpenOption.WRITE)) {
                        channel.truncate(0);
                    }
                }
            }
        } catch (IOException e) {
            LOG.debug("VMs ended meanwhile: {}", e.getMessage());
        }
    }

    @Override
    public void close() {
        thread.interrupt();
    }
}
