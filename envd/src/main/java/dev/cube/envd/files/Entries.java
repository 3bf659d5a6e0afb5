package dev.cube.envd.files;

import com.google.protobuf.Timestamp;
import dev.cube.envd.rpc.filesystem.EntryInfo;
import dev.cube.envd.rpc.filesystem.FileType;
import dev.cube.guest.FileInfo;

/** Describes files as envd does: a symbolic link has the type and mode of what it leads to, and the rest of its own. */
final class Entries {
    private static final int SET_USER_ID = 04000;
    private static final int SET_GROUP_ID = 02000;
    private static final int STICKY = 01000;
    private static final int PERMISSIONS = 0777;

    private Entries() {}

    static EntryInfo describe(FileInfo file) {
        var entry = EntryInfo.newBuilder().setName(file.name()).setPath(file.path()).setSize(file.size())
                .setPermissions(permissions(file)).setOwner(file.owner()).setGroup(file.group())
                .setModifiedTime(Timestamp.newBuilder().setSeconds(file.modified().getEpochSecond())
                        .setNanos(file.modified().getNano()))
                .putAllMetadata(file.metadata());
        if (file.link().isEmpty()) {
            return entry.setType(type(file.type())).setMode(file.mode() & PERMISSIONS).build();
        }
        var target = file.link().get().target();
        entry.setSymlinkTarget(target.map(FileInfo.Target::path).orElse(file.path()));
        target.ifPresent(found -> entry.setType(type(found.type())).setMode(found.mode() & PERMISSIONS));
        return entry.build();
    }

    private static FileType type(FileInfo.Type type) {
        return switch (type) {
            case FILE -> FileType.FILE_TYPE_FILE;
            case DIRECTORY -> FileType.FILE_TYPE_DIRECTORY;
            case SYMLINK -> FileType.FILE_TYPE_SYMLINK;
            case OTHER -> FileType.FILE_TYPE_UNSPECIFIED;
        };
    }

    /** As Go's {@code fs.FileMode} prints it: letters for what is special, then the nine permissions. */
    private static String permissions(FileInfo file) {
        var text = new StringBuilder(switch (file.type()) {
            case DIRECTORY -> "d";
            case SYMLINK -> "L";
            case FILE, OTHER -> "";
        });
        if ((file.mode() & SET_USER_ID) != 0) {
            text.append('u');
        }
        if ((file.mode() & SET_GROUP_ID) != 0) {
            text.append('g');
        }
        if ((file.mode() & STICKY) != 0) {
            text.append('t');
        }
        if (text.isEmpty()) {
            text.append('-');
        }
        for (int bit = 8; bit >= 0; bit--) {
            text.append((file.mode() & 1 << bit) != 0 ? "xwr".charAt(bit % 3) : '-');
        }
        return text.toString();
    }
}
