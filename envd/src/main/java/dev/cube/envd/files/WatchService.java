package dev.cube.envd.files;

import dev.cube.envd.SandboxTarget;
import dev.cube.envd.connect.Call;
import dev.cube.envd.connect.Code;
import dev.cube.envd.connect.ConnectException;
import dev.cube.envd.connect.MessageSink;
import dev.cube.envd.connect.Procedure;
import dev.cube.envd.rpc.filesystem.CreateWatcherRequest;
import dev.cube.envd.rpc.filesystem.CreateWatcherResponse;
import dev.cube.envd.rpc.filesystem.EventType;
import dev.cube.envd.rpc.filesystem.FilesystemEvent;
import dev.cube.envd.rpc.filesystem.GetWatcherEventsRequest;
import dev.cube.envd.rpc.filesystem.GetWatcherEventsResponse;
import dev.cube.envd.rpc.filesystem.RemoveWatcherRequest;
import dev.cube.envd.rpc.filesystem.RemoveWatcherResponse;
import dev.cube.envd.rpc.filesystem.WatchDirRequest;
import dev.cube.envd.rpc.filesystem.WatchDirResponse;
import dev.cube.envd.user.Users;
import dev.cube.guest.FileEvent;
import dev.cube.guest.GuestException;
import dev.cube.guest.GuestWatcher;
import dev.cube.guest.GuestWatcher.Option;
import java.io.IOException;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The watches of envd's {@code filesystem.Filesystem} service: streams of events, and watchers whose events are fetched.
 * Thread-safe.
 */
public final class WatchService {
    private static final WatchDirResponse START =
            WatchDirResponse.newBuilder().setStart(WatchDirResponse.StartEvent.getDefaultInstance()).build();
    private static final WatchDirResponse KEEPALIVE =
            WatchDirResponse.newBuilder().setKeepalive(WatchDirResponse.KeepAlive.getDefaultInstance()).build();
    /**
     * How often one answer asks for more events, which come a megabyte at a time: it must end where more and more happens,
     * and what a guest makes up must not fill the host.
     */
    private static final int ROUNDS = 16;

    private final ConcurrentHashMap<String, SandboxWatchers> sandboxes = new ConcurrentHashMap<>();

    /** The procedures by their paths. */
    public Map<String, Procedure> procedures() {
        return Map.of(
                "/filesystem.Filesystem/WatchDir",
                new Procedure.ServerStream<>(WatchDirRequest.getDefaultInstance(), this::watchDir),
                "/filesystem.Filesystem/CreateWatcher",
                new Procedure.Unary<>(CreateWatcherRequest.getDefaultInstance(), this::create),
                "/filesystem.Filesystem/GetWatcherEvents",
                new Procedure.Unary<>(GetWatcherEventsRequest.getDefaultInstance(), this::events),
                "/filesystem.Filesystem/RemoveWatcher",
                new Procedure.Unary<>(RemoveWatcherRequest.getDefaultInstance(), this::remove));
    }

    public void forget(String sandboxId) {
        SandboxWatchers watchers = sandboxes.remove(sandboxId);
        if (watchers != null) {
            watchers.close();
        }
    }

    /** A sandbox that was restored has another agent, and none of the watchers known before. */
    private SandboxWatchers of(SandboxTarget target) {
        return sandboxes.compute(target.sandboxId(), (id, known) ->
                known != null && known.agent() == target.agent() ? known : new SandboxWatchers(target.agent()));
    }

    private void watchDir(Call call, WatchDirRequest request, MessageSink<WatchDirResponse> answers)
            throws IOException {
        long deadline = System.nanoTime() + call.timeout().map(Duration::toNanos).orElse(Long.MAX_VALUE / 2);
        Set<Option> options = options(request.getRecursive(), request.getIncludeEntry(),
                request.getAllowNetworkMounts());
        try (GuestWatcher watcher = open(call, request.getPath(), options)) {
            answers.onClosed(watcher::close);
            answers.send(START);
            while (true) {
                Duration left = Duration.ofNanos(deadline - System.nanoTime());
                if (!left.isPositive()) {
                    throw new ConnectException(Code.DEADLINE_EXCEEDED, "context deadline exceeded");
                }
                boolean keepaliveFirst = call.keepalive().compareTo(left) < 0;
                List<FileEvent> events = watcher.next(keepaliveFirst ? call.keepalive() : left);
                if (events.isEmpty() && keepaliveFirst) {
                    answers.send(KEEPALIVE);
                }
                for (FileEvent event : events) {
                    answers.send(WatchDirResponse.newBuilder().setFilesystem(describe(event)).build());
                }
            }
        }
    }

    private CreateWatcherResponse create(Call call, CreateWatcherRequest request) {
        Set<Option> options = options(request.getRecursive(), request.getIncludeEntry(),
                request.getAllowNetworkMounts());
        GuestWatcher watcher = open(call, request.getPath(), options);
        return CreateWatcherResponse.newBuilder().setWatcherId(of(call.target()).add(watcher)).build();
    }

    private GetWatcherEventsResponse events(Call call, GetWatcherEventsRequest request) {
        GuestWatcher watcher = of(call.target()).get(request.getWatcherId())
                .orElseThrow(() -> notFound(request.getWatcherId()));
        // What happened before this answer is on its way before it: nothing that the client has done is missed.
        call.target().agent().stat("/");
        var response = GetWatcherEventsResponse.newBuilder();
        for (int round = 0; round < ROUNDS; round++) {
            List<FileEvent> events = watcher.next(Duration.ZERO);
            if (events.isEmpty()) {
                break;
            }
            events.forEach(event -> response.addEvents(describe(event)));
        }
        return response.build();
    }

    private RemoveWatcherResponse remove(Call call, RemoveWatcherRequest request) {
        of(call.target()).remove(request.getWatcherId()).orElseThrow(() -> notFound(request.getWatcherId())).close();
        return RemoveWatcherResponse.getDefaultInstance();
    }

    private static ConnectException notFound(String watcherId) {
        return new ConnectException(Code.NOT_FOUND, "watcher with id " + watcherId + " not found");
    }

    private static Set<Option> options(boolean recursive, boolean includeEntry, boolean allowNetworkMounts) {
        var options = EnumSet.noneOf(Option.class);
        if (recursive) {
            options.add(Option.RECURSIVE);
        }
        if (includeEntry) {
            options.add(Option.ENTRIES);
        }
        if (allowNetworkMounts) {
            options.add(Option.NETWORK_MOUNTS);
        }
        return options;
    }

    private static GuestWatcher open(Call call, String requested, Set<Option> options) {
        String path = Users.resolveForUser(call, requested);
        try {
            return call.target().agent().watch(path, options);
        } catch (GuestException e) {
            throw switch (e.kind()) {
                case NOT_FOUND -> new ConnectException(Code.NOT_FOUND, "path " + path + " not found: " + e.getMessage());
                case NOT_A_DIRECTORY ->
                        new ConnectException(Code.INVALID_ARGUMENT, "path " + path + " not a directory");
                // To clients, the code of its own would mean that they call too often.
                case RESOURCE_EXHAUSTED ->
                        new ConnectException(Code.INTERNAL, "error creating watcher: " + e.getMessage());
                default -> e;
            };
        }
    }

    private static FilesystemEvent describe(FileEvent event) {
        var described = FilesystemEvent.newBuilder().setName(event.name()).setType(switch (event.type()) {
            case CREATE -> EventType.EVENT_TYPE_CREATE;
            case WRITE -> EventType.EVENT_TYPE_WRITE;
            case REMOVE -> EventType.EVENT_TYPE_REMOVE;
            case RENAME -> EventType.EVENT_TYPE_RENAME;
            case CHMOD -> EventType.EVENT_TYPE_CHMOD;
        });
        event.entry().ifPresent(entry -> described.setEntry(Entries.describe(entry)));
        return described.build();
    }
}
