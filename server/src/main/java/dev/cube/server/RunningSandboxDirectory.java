package dev.cube.server;

import dev.cube.cubelet.Sandbox;
import dev.cube.cubelet.SandboxException;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.master.MasterException;
import dev.cube.master.SandboxInfo;
import dev.cube.master.SandboxNetwork;
import dev.cube.master.Sandboxes;
import dev.cube.proxy.SandboxDirectory;
import java.util.Optional;

/** The master's sandboxes, for the proxy. One that is to go on when it is used is resumed by being looked for. */
final class RunningSandboxDirectory implements SandboxDirectory {
    /** How often a sandbox may be rolled back, or paused and resumed, while one request looks for it. */
    private static final int ATTEMPTS = 10;

    private final Sandboxes sandboxes;

    RunningSandboxDirectory(Sandboxes sandboxes) {
        this.sandboxes = sandboxes;
    }

    @Override
    public Optional<Target> find(String sandboxId) {
        for (int attempt = 1;; attempt++) {
            Optional<Sandbox> sandbox = reachable(sandboxId);
            if (sandbox.isEmpty()) {
                return Optional.empty();
            }
            try {
                return Optional.of(target(sandbox.get().agent(), sandboxes.get(sandboxId)));
            } catch (SandboxException | GuestException | MasterException e) {
                // Perhaps it ended, or is in another VM, since it was found.
                if (sandboxes.running(sandboxId).equals(sandbox) || attempt == ATTEMPTS) {
                    throw e;
                }
            }
        }
    }

    private Optional<Sandbox> reachable(String sandboxId) {
        try {
            return sandboxes.reachable(sandboxId);
        } catch (MasterException e) {
            if (e.kind() == MasterException.Kind.NOT_FOUND) {
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
