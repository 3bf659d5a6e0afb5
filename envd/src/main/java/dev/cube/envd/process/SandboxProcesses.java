package dev.cube.envd.process;

import dev.cube.envd.PortService;
import dev.cube.envd.ProcessLog;
import dev.cube.envd.connect.Code;
import dev.cube.envd.connect.ConnectException;
import dev.cube.envd.rpc.process.ProcessEvent.EndEvent;
import dev.cube.envd.rpc.process.ProcessSelector;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestProcess;
import dev.cube.guest.ProcessInfo;
import dev.cube.guest.ProcessSpec;
import java.time.Duration;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Predicate;

/**
 * The processes of one sandbox that clients can see. Those that were started before this server was are taken up when
 * somebody asks for them. Thread-safe.
 */
final class SandboxProcesses {
    /** How long the end of a process can still be asked for, as in E2B's envd. */
    private static final Duration ENDED_KEPT = Duration.ofSeconds(30);
    private static final int ENDED_KEPT_AT_MOST = 1024;

    private record Ended(HeldProcess process, long atNanos) {}

    private final String sandboxId;
    private final GuestAgent agent;
    private final ProcessLog log;
    private final ConcurrentHashMap<Integer, HeldProcess> live = new ConcurrentHashMap<>();
    private final ReentrantLock attaching = new ReentrantLock();
    private final ReentrantLock endedLock = new ReentrantLock();
    private final LinkedHashMap<Integer, Ended> ended = new LinkedHashMap<>();

    SandboxProcesses(String sandboxId, GuestAgent agent, ProcessLog log) {
        this.sandboxId = sandboxId;
        this.agent = agent;
        this.log = log;
    }

    GuestAgent agent() {
        return agent;
    }

    List<ProcessInfo> list() {
        return agent.processes().stream().filter(SandboxProcesses::visible)
                .sorted(Comparator.comparingInt(ProcessInfo::pid)).toList();
    }

    /** A process just started and the subscription that misses nothing of it. */
    record Started(HeldProcess process, Subscription subscription) {}

    Started start(ProcessSpec spec) {
        GuestProcess guest = agent.start(spec);
        var process = new HeldProcess(guest, spec.tag(), spec.pty().isPresent(), spec.stdin());
        var subscription = process.subscribe();
        forgetEnded(process);
        log.started(sandboxId, process.pid(), spec.command(), spec.args());
        take(process);
        return new Started(process, subscription);
    }

    /** A running process; {@code NOT_FOUND} if there is none. */
    HeldProcess running(ProcessSelector selector) {
        return findLive(selector).or(() -> takeUp(selector)).orElseThrow(() -> notFound(selector));
    }

    /** A running process, or one that ended a short while ago. */
    HeldProcess runningOrEnded(ProcessSelector selector) {
        return findLive(selector).or(() -> findEnded(selector)).or(() -> takeUp(selector))
                .orElseThrow(() -> notFound(selector));
    }

    /** Signals a process, which need not be taken up for it. */
    void signal(ProcessSelector selector, int number) {
        int pid = findLive(selector).map(HeldProcess::pid).or(() -> findInGuest(selector).map(ProcessInfo::pid))
                .orElseThrow(() -> notFound(selector));
        agent.signal(pid, number);
    }

    private Optional<HeldProcess> takeUp(ProcessSelector selector) {
        attaching.lock();
        try {
            Optional<HeldProcess> meanwhile = findLive(selector);
            if (meanwhile.isPresent()) {
                return meanwhile;
            }
            Optional<ProcessInfo> found = findInGuest(selector);
            if (found.isEmpty()) {
                return Optional.empty();
            }
            ProcessInfo info = found.get();
            var process = new HeldProcess(agent.attach(info.pid()), info.tag(), info.pty(), info.stdin());
            take(process);
            return Optional.of(process);
        } catch (GuestException e) {
            if (e.kind() == GuestException.Kind.NOT_FOUND) {
                return Optional.empty();
            }
            throw e;
        } finally {
            attaching.unlock();
        }
    }

    private void take(HeldProcess process) {
        live.put(process.pid(), process);
        process.run(outcome -> {
            if (outcome instanceof Outcome.Ended(EndEvent end)) {
                keepEnded(process);
                log.ended(sandboxId, process.pid(), end.getStatus());
            }
            live.remove(process.pid(), process);
        });
    }

    private Optional<HeldProcess> findLive(ProcessSelector selector) {
        return switch (selector.getSelectorCase()) {
            case PID -> Optional.ofNullable(live.get(selector.getPid()));
            case TAG -> live.values().stream().filter(process -> process.tag().equals(Optional.of(selector.getTag())))
                    .max(Comparator.comparingInt(HeldProcess::pid));
            case SELECTOR_NOT_SET -> throw new ConnectException(Code.UNIMPLEMENTED, "invalid input type: no selector");
        };
    }

    private Optional<ProcessInfo> findInGuest(ProcessSelector selector) {
        Predicate<ProcessInfo> wanted = selector.hasPid()
                ? info -> info.pid() == selector.getPid()
                : info -> info.tag().equals(Optional.of(selector.getTag()));
        return list().stream().filter(wanted).max(Comparator.comparingInt(ProcessInfo::pid));
    }

    private static boolean visible(ProcessInfo info) {
        return info.tag().filter(tag -> tag.startsWith(PortService.OWN_TAG_PREFIX)).isEmpty();
    }

    private void keepEnded(HeldProcess process) {
        endedLock.lock();
        try {
            long now = System.nanoTime();
            ended.remove(process.pid());
            ended.put(process.pid(), new Ended(process, now));
            ended.values().removeIf(other -> now - other.atNanos() > ENDED_KEPT.toNanos());
            if (ended.size() > ENDED_KEPT_AT_MOST) {
                ended.pollFirstEntry();
            }
        } finally {
            endedLock.unlock();
        }
    }

    /** A new process must not be taken for an ended one of the same pid or tag. */
    private void forgetEnded(HeldProcess successor) {
        endedLock.lock();
        try {
            ended.remove(successor.pid());
            successor.tag().ifPresent(tag -> ended.values()
                    .removeIf(other -> other.process().tag().equals(successor.tag())));
        } finally {
            endedLock.unlock();
        }
    }

    private Optional<HeldProcess> findEnded(ProcessSelector selector) {
        endedLock.lock();
        try {
            long now = System.nanoTime();
            return ended.values().stream().filter(other -> now - other.atNanos() <= ENDED_KEPT.toNanos())
                    .map(Ended::process)
                    .filter(process -> selector.hasPid() ? process.pid() == selector.getPid()
                            : process.tag().equals(Optional.of(selector.getTag())))
                    .findFirst();
        } finally {
            endedLock.unlock();
        }
    }

    private static ConnectException notFound(ProcessSelector selector) {
        return new ConnectException(Code.NOT_FOUND, selector.hasPid()
                ? "process with pid " + Integer.toUnsignedString(selector.getPid()) + " not found"
                : "process with tag " + selector.getTag() + " not found");
    }
}
