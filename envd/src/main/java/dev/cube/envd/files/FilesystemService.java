package dev.cube.envd.files;

import dev.cube.envd.connect.Call;
import dev.cube.envd.connect.Code;
import dev.cube.envd.connect.ConnectException;
import dev.cube.envd.connect.Procedure;
import dev.cube.envd.rpc.filesystem.ListDirRequest;
import dev.cube.envd.rpc.filesystem.ListDirResponse;
import dev.cube.envd.rpc.filesystem.MakeDirRequest;
import dev.cube.envd.rpc.filesystem.MakeDirResponse;
import dev.cube.envd.rpc.filesystem.MoveRequest;
import dev.cube.envd.rpc.filesystem.MoveResponse;
import dev.cube.envd.rpc.filesystem.RemoveRequest;
import dev.cube.envd.rpc.filesystem.RemoveResponse;
import dev.cube.envd.rpc.filesystem.StatRequest;
import dev.cube.envd.rpc.filesystem.StatResponse;
import dev.cube.envd.user.GuestPaths;
import dev.cube.envd.user.Users;
import dev.cube.guest.FileInfo;
import dev.cube.guest.GuestException;
import java.util.Map;

/** envd's {@code filesystem.Filesystem} service except its watches, over the agents of all sandboxes. Thread-safe. */
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
                new Procedure.Unary<>(RemoveRequest.getDefaultInstance(), this::remove));
    }

    private StatResponse stat(Call call, StatRequest request) {
        String path = Users.resolveForUser(call, request.getPath());
        try {
            FileInfo file = call.target().agent().stat(path);
            return StatResponse.newBuilder().setEntry(Entries.describe(file)).build();
        } catch (GuestException e) {
            throw switch (e.kind()) {
                case NOT_FOUND -> notFound("file not found: ", path);
                case NOT_A_DIRECTORY -> new ConnectException(Code.INTERNAL, "error getting file info: " + e.getMessage());
                default -> e;
            };
        }
    }

    private MakeDirResponse makeDirectory(Call call, MakeDirRequest request) {
        String path = Users.resolve(call, request.getPath());
        try {
            FileInfo made = call.target().agent().makeDirectory(path, Users.name(call));
            return MakeDirResponse.newBuilder().setEntry(Entries.describe(made)).build();
        } catch (GuestException e) {
            throw switch (e.kind()) {
                case ALREADY_EXISTS -> alreadyThere(call, path);
                case NOT_A_DIRECTORY -> new ConnectException(Code.INTERNAL, "path is a file: " + e.getMessage());
                default -> Users.translate(e, call);
            };
        }
    }

    private static ConnectException alreadyThere(Call call, String path) {
        return isDirectory(followed(call, path))
                ? new ConnectException(Code.ALREADY_EXISTS, "directory already exists: " + path)
                : new ConnectException(Code.INVALID_ARGUMENT,
                        "path already exists but it is not a directory: " + path);
    }

    private MoveResponse move(Call call, MoveRequest request) {
        String from = Users.resolve(call, request.getSource());
        String to = Users.resolve(call, request.getDestination());
        try {
            FileInfo moved = call.target().agent().move(from, to, Users.name(call));
            return MoveResponse.newBuilder().setEntry(Entries.describe(moved)).build();
        } catch (GuestException e) {
            throw switch (e.kind()) {
                case NOT_FOUND -> notFound("source file not found: ", from);
                case UNKNOWN_USER, DISCONNECTED -> Users.translate(e, call);
                default -> new ConnectException(Code.INTERNAL, "error renaming: " + e.getMessage());
            };
        }
    }

    private ListDirResponse list(Call call, ListDirRequest request) {
        String path = Users.resolveForUser(call, request.getPath());
        FileInfo.Target directory = followed(call, path);
        if (!isDirectory(directory)) {
            throw new ConnectException(Code.INVALID_ARGUMENT, "path is not a directory: " + path);
        }
        var response = ListDirResponse.newBuilder();
        int depth = request.getDepth() == 0 ? 1 : Math.clamp(Integer.toUnsignedLong(request.getDepth()), 1,
                Integer.MAX_VALUE);
        String prefix = directory.path().equals("/") ? "/" : directory.path() + "/";
        for (FileInfo file : call.target().agent().list(directory.path(), depth)) {
            // The directory is listed by the path that was asked for, which may have been a link.
            String below = file.path().startsWith(prefix) ? file.path().substring(prefix.length()) : file.name();
            response.addEntries(Entries.describe(file).toBuilder().setPath(GuestPaths.join(path, below)));
        }
        return response.build();
    }

    private static boolean isDirectory(FileInfo.Target target) {
        return target.type() == FileInfo.Type.DIRECTORY;
    }

    /** What a path leads to. */
    private static FileInfo.Target followed(Call call, String path) {
        try {
            FileInfo file = call.target().agent().stat(path);
            if (file.link().isEmpty()) {
                return new FileInfo.Target(file.path(), file.type(), file.mode());
            }
            FileInfo.Link link = file.link().get();
            if (link.circular()) {
                throw new ConnectException(Code.FAILED_PRECONDITION,
                        "cyclic symlink or chain >255 links at \"" + path + "\"");
            }
            return link.target().orElseThrow(() -> notFound("path not found: ", path));
        } catch (GuestException e) {
            throw switch (e.kind()) {
                case NOT_FOUND -> notFound("path not found: ", path);
                case NOT_A_DIRECTORY -> new ConnectException(Code.INTERNAL, "error resolving symlink: " + e.getMessage());
                default -> e;
            };
        }
    }

    private RemoveResponse remove(Call call, RemoveRequest request) {
        String path = Users.resolveForUser(call, request.getPath());
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
