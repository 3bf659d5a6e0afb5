package dev.cube.server;

import dev.cube.cubelet.Sandbox;
import dev.cube.cubelet.SandboxException;
import dev.cube.guest.GuestAgent;
import dev.cube.http.HttpError;
import dev.cube.master.MasterException;
import dev.cube.master.SandboxInfo;
import dev.cube.master.SandboxNetwork;
import dev.cube.master.Sandboxes;
import dev.cube.proxy.SandboxDirectory;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/** The master's sandboxes, for the proxy. */
final class RunningSandboxDirectory implements SandboxDirectory {
    /** How often a sandbox may be rolled back, or paused and resumed, while one request asks for its agent. */
    private static final int ATTEMPTS = 10;
    private static final int INTERNAL_SERVER_ERROR = 500;
    private static final int SERVICE_UNAVAILABLE = 503;

    private final Sandboxes sandboxes;

    RunningSandboxDirectory(Sandboxes sandboxes) {
        this.sandboxes = sandboxes;
    }

    @Override
    public Optional<Target> find(String sandboxId) {
        SandboxInfo info;
        try {
            info = sandboxes.get(sandboxId);
        } catch (MasterException e) {
            return Optional.empty();
        }
        if (info.state() == SandboxInfo.State.PAUSED && !info.onTimeout().resumes()) {
            return Optional.empty();
        }
        return Optional.of(new Target(sandboxId, () -> agent(() -> reachable(sandboxId)),
                () -> agent(() -> sandboxes.running(sandboxId)), info.accessToken(), info.trafficToken(),
                info.network().ingress().flatMap(SandboxNetwork.Ingress::maskRequestHost),
                info.network().ingress().flatMap(SandboxNetwork.Ingress::httpsPorts).map(Set::copyOf).orElse(Set.of())));
    }

    private static Optional<GuestAgent> agent(Supplier<Optional<Sandbox>> found) {
        for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
            Optional<Sandbox> sandbox = found.get();
            if (sandbox.isEmpty()) {
                return Optional.empty();
            }
            try {
                return Optional.of(sandbox.get().agent());
            } catch (SandboxException e) {
                if (e.kind() != SandboxException.Kind.NOT_FOUND) {
                    throw e;
                }
                // It has ended since, or goes on in another VM.
            }
        }
        return Optional.empty();
    }

    private Optional<Sandbox> reachable(String sandboxId) {
        try {
            return sandboxes.reachable(sandboxId);
        } catch (MasterException e) {
            switch (e.kind()) {
                case NOT_FOUND -> {
                    return Optional.empty();
                }
                case NO_CAPACITY -> throw new HttpError(SERVICE_UNAVAILABLE, e.getMessage());
                default -> throw new HttpError(INTERNAL_SERVER_ERROR, e.getMessage());
            }
        }
    }
}
