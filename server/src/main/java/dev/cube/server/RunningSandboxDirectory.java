package dev.cube.server;

import dev.cube.cubelet.SandboxException;
import dev.cube.guest.GuestException;
import dev.cube.master.MasterException;
import dev.cube.master.Sandboxes;
import dev.cube.proxy.SandboxDirectory;
import java.util.Optional;

/** The master's running sandboxes, for the proxy. */
final class RunningSandboxDirectory implements SandboxDirectory {
    private final Sandboxes sandboxes;

    RunningSandboxDirectory(Sandboxes sandboxes) {
        this.sandboxes = sandboxes;
    }

    @Override
    public Optional<Target> find(String sandboxId) {
        try {
            return sandboxes.running(sandboxId).map(sandbox ->
                    new Target(sandboxId, sandbox.agent(), sandboxes.get(sandboxId).accessToken()));
        } catch (SandboxException | GuestException | MasterException e) {
            // It ended since it was found.
            if (sandboxes.running(sandboxId).isEmpty()) {
                return Optional.empty();
            }
            throw e;
        }
    }
}
