package dev.cube.envd.files;

import com.google.protobuf.Message;
import dev.cube.envd.connect.Call;
import dev.cube.envd.connect.Code;
import dev.cube.envd.connect.ConnectException;
import dev.cube.envd.connect.Procedure;
import dev.cube.envd.rpc.filesystem.CreateWatcherRequest;
import dev.cube.envd.rpc.filesystem.EntryInfo;
import dev.cube.envd.rpc.filesystem.GetWatcherEventsRequest;
import dev.cube.envd.rpc.filesystem.ListDirRequest;
import dev.cube.envd.rpc.filesystem.ListDirResponse;
import dev.cube.envd.rpc.filesystem.MakeDirRequest;
import dev.cube.envd.rpc.filesystem.MakeDirResponse;
import dev.cube.envd.rpc.filesystem.MoveRequest;
import dev.cube.envd.rpc.filesystem.MoveResponse;
import dev.cube.envd.rpc.filesystem.RemoveRequest;
import dev.cube.envd.rpc.filesystem.RemoveResponse;
import dev.cube.envd.rpc.filesystem.RemoveWatcherRequest;
import dev.cube.envd.rpc.filesystem.StatRequest;
import dev.cube.envd.rpc.filesystem.StatResponse;
import dev.cube.envd.rpc.filesystem.WatchDirRequest;
import dev.cube.envd.rpc.filesystem.WatchDirResponse;
import dev.cube.envd.user.Users;
import dev.cube.guest.FileInfo;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import java.util.Map;

/** envd's {@code filesystem.Filesystem} service, over the agents of all sandboxes. Thread-safe. */
public final class FilesystemService {
    /** The procedures by their paths. */
    public Map<String, Procedure> procedures() {
        return Map.of(
                "/filesystem.Filesystem/Stat", new Procedure.Unary<>(StatRequest.getDefaultInstance(), this::stat),
                "/filesystem.Filesystem/MakeDir",
                new Procedure.Unary<>(MakeDirRequest.getDefaultInstance(), this::makeDirectory),
                "/filesystem.Filesystem/Move", new Procedure.Unary<>(MoveRequest.getDefaultInstance(), this::move),
                "/filesystem.Filesystem/ListDir",
                new Procedure.Unary<>(ListDirRequest.getDefaultInstance(), this::list),
                "/filesystem.Filesystem/Remove",
                new Procedure.Unary<>(RemoveRequest.getDefaultInstance(), this::remove),
                "/filesystem.Filesystem/WatchDir",
                new Procedure.ServerStream<WatchDirRequest, WatchDirResponse>(WatchDirRequest.getDefaultInstance(),
                        (call, request, answers) -> {
                            throw noWatching();
                        }),
                "/filesystem.Filesystem/CreateWatcher", unwatched(CreateWatcherRequest.getDefaultInstance()),
                "/filesystem.Filesystem/GetWatcherEvents", unwatched(GetWatcherEventsRequest.getDefaultInstance()),
                "/filesystem.Filesystem/RemoveWatcher", unwatched(RemoveWatcherRequest.getDefaultInstance()));
    }

    private static <Q extends Message> Procedure unwatched(Q prototype) {
        return new Procedure.Unary<Q, Q>(prototype, (call, request) -> {
            throw noWatching();
        });
    }

    private static ConnectException noWatching() {
        return new ConnectException(Code.UNIMPLEMENTED, "watching directories is not supported");
    }

    private StatResponse stat(Call call, StatRequest request) {
        String path = Users.resolve(Users.of(call), request.getPath());
        return StatResponse.newBuilder().setEntry(entry(call, path)).build();
    }

    private static EntryInfo entry(Call call, String path) {
        GuestAgent agent = call.target().agent();
        try {
            return new Entries(new LinkResolver(agent)).describe(agent.stat(path));
        } catch (GuestException e) {
            throw e.kind() == GuestException.Kind.NOT_FOUND ? notFound("file not found: ", path) : e;
        }
    }

    private MakeDirResponse makeDirectory(Call call, MakeDirRequest request) {
        String path = Users.resolve(call, request.getPath());
        GuestAgent agent = call.target().agent();
        try {
            FileInfo made = agent.makeDirectory(path, Users.name(call));
            return MakeDirResponse.newBuilder().setEntry(new Entries(new LinkResolver(agent)).describe(made)).build();
        } catch (GuestException e) {
            throw switch (e.kind()) {
                case ALREADY_EXISTS -> alreadyThere(call, path);
                case NOT_A_DIRECTORY -> new ConnectException(Code.INTERNAL, "path is a file: " + e.getMessage());
                default -> Users.translate(e, call);
            };
        }
    }

    private static ConnectException alreadyThere(Call call, String path) {
        return followed(call, path).type() == FileInfo.Type.DIRECTORY
                ? new ConnectException(Code.ALREADY_EXISTS, "directory already exists: " + path)
                : new ConnectException(Code.INVALID_ARGUMENT,
                        "path already exists but it is not a directory: " + path);
    }

    private MoveResponse move(Call call, MoveRequest request) {
        String from = Users.resolve(call, request.getSource());
        String to = Users.resolve(call, request.getDestination());
        GuestAgent agent = call.target().agent();
        try {
            FileInfo moved = agent.move(from, to, Users.name(call));
            return MoveResponse.newBuilder().setEntry(new Entries(new LinkResolver(agent)).describe(moved)).build();
        } catch (GuestException e) {
            throw switch (e.kind()) {
                case NOT_FOUND -> notFound("source file not found: ", from);
                case UNKNOWN_USER, DISCONNECTED -> Users.translate(e, call);
                default -> new ConnectException(Code.INTERNAL, "error renaming: " + e.getMessage());
            };
        }
    }

    private ListDirResponse list(Call call, ListDirRequest request) {
        String path = Users.resolve(Users.of(call), request.getPath());
        FileInfo directory = followed(call, path);
        if (directory.type() != FileInfo.Type.DIRECTORY) {
            throw new ConnectException(Code.INVALID_ARGUMENT, "path is not a directory: " + path);
        }
        GuestAgent agent = call.target().agent();
        var entries = new Entries(new LinkResolver(agent));
        var response = ListDirResponse.newBuilder();
        int depth = request.getDepth() == 0 ? 1 : Math.clamp(Integer.toUnsignedLong(request.getDepth()), 1,
                Integer.MAX_VALUE);
        String prefix = directory.path().equals("/") ? "/" : directory.path() + "/";
        String shown = path.endsWith("/") ? path : path + "/";
        for (FileInfo file : agent.list(directory.path(), depth)) {
            EntryInfo entry = entries.describe(file);
            // The directory is listed by the path that was asked for, which may have been a link.
            String below = file.path().startsWith(prefix) ? file.path().substring(prefix.length()) : file.name();
            response.addEntries(entry.toBuilder().setPath(shown + below));
        }
        return response.build();
    }

    /** What a path leads to. */
    private static FileInfo followed(Call call, String path) {
        GuestAgent agent = call.target().agent();
        try {
            FileInfo file = agent.stat(path);
            return file.type() != FileInfo.Type.SYMLINK ? file : new LinkResolver(agent).resolve(path)
                    .orElseThrow(() -> notFound("path not found: ", path));
        } catch (GuestException e) {
            throw e.kind() == GuestException.Kind.NOT_FOUND ? notFound("path not found: ", path) : e;
        } catch (LinkResolver.TooManyLinks e) {
            throw new ConnectException(Code.FAILED_PRECONDITION, e.getMessage());
        }
    }

    private RemoveResponse remove(Call call, RemoveRequest request) {
        String path = Users.resolve(Users.of(call), request.getPath());
        try {
            call.target().agent().remove(path);
        } catch (GuestException e) {
            // envd does not mind that there was nothing.
            if (e.kind() != GuestException.Kind.NOT_FOUND) {
                throw e;
            }
        }
        return RemoveResponse.getDefaultInstance();
    }

    private static ConnectException notFound(String what, String path) {
        return new ConnectException(Code.NOT_FOUND, what + path + ": no such file or directory");
    }
}
