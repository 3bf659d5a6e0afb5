package dev.cube.cubelet;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestProcess;
import dev.cube.guest.ProcessEvent;
import dev.cube.guest.ProcessSpec;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The file systems of a guest. */
final class GuestDisk {
    private static final Logger LOG = LoggerFactory.getLogger(GuestDisk.class);

    private GuestDisk() {}

    /** Has a guest write to its disks what is in its page cache only, if its image has the command for that. */
    static void sync(GuestAgent agent) {
        try (GuestProcess sync = start(agent)) {
            await(sync);
        } catch (GuestException e) {
            if (e.kind() != GuestException.Kind.NOT_FOUND) {
                throw e;
            }
            LOG.debug("the image has no sync command");
        }
    }

    /** The same, for a guest that is not to be trusted to end it: false if it failed or took longer than this. */
    static boolean sync(GuestAgent agent, Duration patience) {
        Thread limit = null;
        try (GuestProcess sync = start(agent)) {
            limit = Thread.ofVirtual().name("sync-limit").start(() -> closeAfter(sync, patience));
            return await(sync);
        } catch (GuestException e) {
            LOG.debug("sync failed", e);
            return false;
        } finally {
            if (limit != null) {
                limit.interrupt();
            }
        }
    }

    private static void closeAfter(GuestProcess sync, Duration patience) {
        try {
            Thread.sleep(patience);
            sync.close();
        } catch (InterruptedException e) {
            // It ended in time.
        }
    }

    private static GuestProcess start(GuestAgent agent) {
        return agent.start(new ProcessSpec("sync", List.of(), Map.of(), Optional.of("/"), "root",
                Optional.empty(), Optional.empty(), false));
    }

    /** Whether it succeeded. What it prints is of no interest. */
    private static boolean await(GuestProcess process) {
        while (true) {
            if (process.next() instanceof ProcessEvent.Exited exited) {
                return exited.exitCode() == 0 && exited.signal() == 0;
            }
        }
    }
}
