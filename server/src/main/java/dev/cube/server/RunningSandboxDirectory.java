package dev.cube.server;

import dev.cube.cubelet.SandboxException;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.master.MasterException;
import dev.cube.master.SandboxInfo;
import dev.cube.master.SandboxNetwork;
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
            return sandboxes.running(sandboxId).map(sandbox -> target(sandbox.agent(), sandboxes.get(sandboxId)));
        } catch (SandboxException | GuestException | MasterException e) {
            // It ended since it was found.
            if (sandboxes.running(sandboxId).isEmpty()) {
                return Optional.empty();
            }
            throw e;
        }
    }

    private static Target target(GuestAgent agent, SandboxInfo info) {
        return new Target(info.id(), agent, info.accessToken(), info.trafficToken(),
                info.network().ingress().flatMap(SandboxNetwork.Ingress::maskRequestHost));
    }
}
