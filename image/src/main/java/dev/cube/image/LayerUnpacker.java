package dev.cube.image;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Applies the layers of an image to a tree, lowest first, as the OCI image specification's "Image Layer Filesystem
 * Changeset" says: {@code .wh.NAME} hides a file of the layers below, {@code .wh..wh..opq} all that they put into a
 * directory, and either leaves alone what its own layer brings, whatever the order of the entries. For one thread.
 */
final class LayerUnpacker implements AutoCloseable {
    private static final String WHITEOUT_PREFIX = ".wh.";
    private static final String OPAQUE_MARKER = ".wh..wh..opq";
    /** Names that the aufs storage driver used for itself. */
    private static final String RESERVED_PREFIX = ".wh..wh.";
    private static final int BUFFER_SIZE = 256 * 1024;

    private final RootedTree tree;
    private final UnpackBudget budget;
    private final Arena arena = Arena.ofConfined();
    private final byte[] buffer = new byte[BUFFER_SIZE];
    private final MemorySegment nativeBuffer = arena.allocate(BUFFER_SIZE);

    /** What the current layer brought: the inode of the directory, a slash, and the name in it. */
    private final Set<String> brought = new HashSet<>();
    /** Set when a layer is complete, since making files in a directory changes its time. */
    private final Map<String, TarEntry.Time> directoryTimes = new LinkedHashMap<>();

    LayerUnpacker(RootedTree tree, UnpackBudget budget) {
        this.tree = tree;
        this.budget = budget;
    }

    /** Applies one layer, an uncompressed tar archive, and reads the stream to its end. */
    void apply(InputStream layer) throws IOException {
        brought.clear();
        directoryTimes.clear();
        InputStream counted = budget.count(layer);
        TarReader tar = new TarReader(counted);
        for (TarEntry entry = tar.next(); entry != null; entry = tar.next()) {
            if (Thread.currentThread().isInterrupted()) {
                throw new ImageException("interrupted");
            }
            budget.countEntry();
            apply(entry, tar);
        }
        while (counted.read(buffer) >= 0) {
            // The digest covers what follows the end of the archive, too.
        }
        for (Map.Entry<String, TarEntry.Time> directory : directoryTimes.entrySet()) {
            setDirectoryTime(directory.getKey(), directory.getValue());
        }
    }

    private void apply(TarEntry entry, TarReader tar) throws IOException {
        String path = normalise(entry.name());
        int slash = path.lastIndexOf('/');
        String parentPath = slash < 0 ? "" : path.substring(0, slash);
        String name = path.substring(slash + 1);
        if (path.isEmpty()) {
            if (entry.type() == TarEntry.Type.DIRECTORY) {
                setMetadata(tree.directory(""), ".", entry);
                directoryTimes.put("", entry.time());
            }
        } else if (name.equals(OPAQUE_MARKER)) {
            hideContent(parentPath);
        } else if (name.startsWith(RESERVED_PREFIX)) {
            return;
        } else if (name.startsWith(WHITEOUT_PREFIX)) {
            hide(parentPath, hiddenName(path, name));
        } else {
            make(entry, tar, path, parentPath, name);
        }
    }

    private static String hiddenName(String path, String name) {
        String hidden = name.substring(WHITEOUT_PREFIX.length());
        if (hidden.isEmpty() || hidden.equals(".") || hidden.equals("..")) {
            throw new ImageException("impossible whiteout '%s' in a layer".formatted(RawName.display(path)));
        }
        return hidden;
    }

    private void make(TarEntry entry, TarReader tar, String path, String parentPath, String name) throws IOException {
        RootedTree.Directory parent = tree.directory(parentPath);
        Optional<Posix.Status> existing = tree.status(parent, name);
        boolean merge = entry.type() == TarEntry.Type.DIRECTORY && existing.filter(Posix.Status::isDirectory).isPresent();
        if (entry.type() == TarEntry.Type.HARD_LINK && existing.isPresent() && normalise(entry.link()).equals(path)) {
            return;
        }
        if (existing.isPresent() && !merge) {
            tree.remove(parent, name, existing.get());
            parent = tree.directory(parentPath);
        }
        switch (entry.type()) {
            case DIRECTORY -> {
                if (!merge) {
                    Posix.makeDirectory(parent.fd(), name, 0700);
                }
                directoryTimes.remove(path);
                directoryTimes.put(path, entry.time());
            }
            case FILE -> tree.makeFile(parent, name, target -> copy(entry, tar, target));
            case HARD_LINK -> link(entry, parent, name);
            case SYMBOLIC_LINK -> Posix.makeSymbolicLink(entry.link(), parent.fd(), name);
            case CHARACTER_DEVICE -> makeNode(Posix.S_IFCHR, entry, parent, name);
            case BLOCK_DEVICE -> makeNode(Posix.S_IFBLK, entry, parent, name);
            case FIFO -> makeNode(Posix.S_IFIFO, entry, parent, name);
        }
        brought.add(key(parent, name));
        if (entry.type() != TarEntry.Type.HARD_LINK) {
            setMetadata(parent, name, entry);
        }
    }

    private static void makeNode(int type, TarEntry entry, RootedTree.Directory parent, String name)
            throws ErrnoException {
        Posix.makeNode(parent.fd(), name, type | 0600, entry.deviceMajor(), entry.deviceMinor());
    }

    private void link(TarEntry entry, RootedTree.Directory parent, String name) throws ErrnoException {
        String target = normalise(entry.link());
        int slash = target.lastIndexOf('/');
        int from = tree.openSeparately(slash < 0 ? "" : target.substring(0, slash));
        try {
            Posix.makeHardLink(from, target.substring(slash + 1), parent.fd(), name);
        } catch (ErrnoException e) {
            throw new ImageException("a layer links '%s' to '%s', which cannot be: %s".formatted(
                    RawName.display(entry.name()), RawName.display(entry.link()), e.getMessage()), e);
        } finally {
            Posix.close(from);
        }
    }

    private void copy(TarEntry entry, TarReader tar, RootedTree.Content.Target target) throws IOException {
        if (entry.sparse() == null) {
            copy(tar, target, 0, entry.storedSize());
            return;
        }
        for (TarEntry.Extent extent : entry.sparse()) {
            copy(tar, target, extent.offset(), extent.length());
        }
        target.setSize(entry.size());
    }

    private void copy(TarReader tar, RootedTree.Content.Target target, long offset, long length) throws IOException {
        long done = 0;
        while (done < length) {
            int n = tar.read(buffer, 0, (int) Math.min(buffer.length, length - done));
            MemorySegment.copy(buffer, 0, nativeBuffer, ValueLayout.JAVA_BYTE, 0, n);
            target.write(nativeBuffer.asSlice(0, n), offset + done);
            done += n;
        }
    }

    private void setMetadata(RootedTree.Directory parent, String name, TarEntry entry) throws ErrnoException {
        boolean link = entry.type() == TarEntry.Type.SYMBOLIC_LINK;
        Posix.changeOwner(parent.fd(), name, entry.uid(), entry.gid());
        if (!link) {
            Posix.changeMode(parent.fd(), name, entry.mode());
        }
        for (Map.Entry<String, byte[]> attribute : entry.attributes().entrySet()) {
            if (isKept(attribute.getKey(), entry.type())) {
                Posix.setAttribute(parent.fd(), name, attribute.getKey(), attribute.getValue());
            }
        }
        Posix.changeTime(parent.fd(), name, entry.time());
    }

    /**
     * Attributes that mean the same in a sandbox: file capabilities, access control lists and the user's own. Security
     * labels belong to the system that wrote them, and {@code trusted} ones steer the guest's overlayfs. The kernel
     * allows {@code user} attributes on files and directories only.
     */
    private static boolean isKept(String attribute, TarEntry.Type type) {
        boolean plain = type == TarEntry.Type.FILE || type == TarEntry.Type.DIRECTORY;
        return plain && (attribute.equals("security.capability") || attribute.startsWith("system.posix_acl_")
                || attribute.startsWith("user.") && !attribute.startsWith("user.overlay."));
    }

    private void hide(String parentPath, String name) throws IOException {
        Optional<RootedTree.Directory> parent = tree.existingDirectory(parentPath);
        if (parent.isEmpty()) {
            return;
        }
        Optional<Posix.Status> status = tree.status(parent.get(), name);
        if (status.isEmpty()) {
            return;
        }
        if (!brought.contains(key(parent.get(), name))) {
            tree.remove(parent.get(), name, status.get());
        } else if (status.get().isDirectory()) {
            hideContent(join(parentPath, name));
        }
    }

    /** Removes what lower layers put below a directory. One directory at a time is open, however deep the tree. */
    private void hideContent(String path) throws IOException {
        Deque<String> todo = new ArrayDeque<>(List.of(path));
        while (!todo.isEmpty()) {
            String directoryPath = todo.pop();
            if (tree.existingDirectory(directoryPath).isEmpty()) {
                continue;
            }
            for (String name : tree.list(directoryPath)) {
                RootedTree.Directory directory = tree.directory(directoryPath);
                Posix.Status status = Posix.status(directory.fd(), name);
                if (!brought.contains(key(directory, name))) {
                    tree.remove(directory, name, status);
                } else if (status.isDirectory()) {
                    todo.push(join(directoryPath, name));
                }
            }
        }
    }

    private void setDirectoryTime(String path, TarEntry.Time time) throws IOException {
        int slash = path.lastIndexOf('/');
        Optional<RootedTree.Directory> parent = tree.existingDirectory(slash < 0 ? "" : path.substring(0, slash));
        String name = path.isEmpty() ? "." : path.substring(slash + 1);
        if (parent.isPresent() && tree.status(parent.get(), name).isPresent()) {
            Posix.changeTime(parent.get().fd(), name, time);
        }
    }

    private static String key(RootedTree.Directory directory, String name) {
        return directory.inode() + "/" + name;
    }

    private static String join(String parent, String name) {
        return parent.isEmpty() ? name : parent + "/" + name;
    }

    /** A path in a layer, relative to the root: without slashes at its ends, {@code .} and empty parts. */
    static String normalise(String raw) {
        StringBuilder path = new StringBuilder();
        for (String part : raw.split("/")) {
            if (part.equals("..")) {
                throw new ImageException(
                        "a layer's entry leads out of its directory: '%s'".formatted(RawName.display(raw)));
            }
            if (!part.isEmpty() && !part.equals(".")) {
                path.append(path.isEmpty() ? "" : "/").append(part);
            }
        }
        return path.toString();
    }

    @Override
    public void close() {
        arena.close();
    }
}
