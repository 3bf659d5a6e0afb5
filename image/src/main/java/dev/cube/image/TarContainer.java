package dev.cube.image;

import java.io.BufferedInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PushbackInputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/** The files of a tar archive, read in place once an index of it is made. Symbolic links inside it are followed. */
final class TarContainer implements FileContainer {
    private static final int MAX_FILES = 100_000;
    private static final int MAX_LINKS = 8;

    private record Slice(long offset, long size) {}

    private final Path file;
    private final FileChannel channel;
    private final Map<String, Slice> slices = new HashMap<>();
    private final Map<String, String> links = new HashMap<>();

    private TarContainer(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /**
     * Opens an archive. A compressed one is decompressed to {@code scratch}, which the caller removes.
     */
    static TarContainer open(Path file, Path scratch, UnpackLimits limits) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new ImageException("image archive %s does not exist".formatted(file));
        }
        Path plain = file;
        try (InputStream raw = Files.newInputStream(file);
                InputStream in = Decompression.open(new BufferedInputStream(raw))) {
            if (!(in instanceof PushbackInputStream)) {
                Files.copy(new UnpackBudget(limits).count(in), scratch, StandardCopyOption.REPLACE_EXISTING);
                plain = scratch;
            }
        }
        TarContainer container = new TarContainer(file, FileChannel.open(plain, StandardOpenOption.READ));
        try {
            container.index();
            return container;
        } catch (IOException | RuntimeException e) {
            container.close();
            throw e;
        }
    }

    private void index() throws IOException {
        CountingInputStream in = new CountingInputStream(new BufferedInputStream(Channels.newInputStream(channel)));
        TarReader tar = new TarReader(in);
        for (TarEntry entry = tar.next(); entry != null; entry = tar.next()) {
            if (slices.size() + links.size() >= MAX_FILES) {
                throw new ImageException("%s holds more than %d files".formatted(file, MAX_FILES));
            }
            String path = LayerUnpacker.normalise(entry.name());
            switch (entry.type()) {
                case FILE -> slices.put(path, new Slice(in.count, entry.storedSize()));
                case SYMBOLIC_LINK -> links.put(path, relative(path, entry.link()));
                case HARD_LINK -> links.put(path, LayerUnpacker.normalise(entry.link()));
                default -> { }
            }
        }
    }

    /** Where a symbolic link at {@code path} leads, inside the archive. */
    private static String relative(String path, String target) {
        Deque<String> parts = new ArrayDeque<>();
        int slash = path.lastIndexOf('/');
        String from = target.startsWith("/") || slash < 0 ? "" : path.substring(0, slash) + "/";
        for (String part : (from + target).split("/")) {
            if (part.equals("..")) {
                parts.pollLast();
            } else if (!part.isEmpty() && !part.equals(".")) {
                parts.addLast(part);
            }
        }
        return String.join("/", parts);
    }

    private Slice find(String path) {
        String at = path;
        for (int i = 0; i < MAX_LINKS && !slices.containsKey(at) && links.containsKey(at); i++) {
            at = links.get(at);
        }
        return slices.get(at);
    }

    @Override
    public String name() {
        return file.toString();
    }

    @Override
    public boolean has(String path) {
        return find(path) != null;
    }

    long size(String path) {
        return find(path).size();
    }

    @Override
    public InputStream open(String path) {
        return new SliceInputStream(channel, find(path).offset(), find(path).size());
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }

    private static final class CountingInputStream extends FilterInputStream {
        private long count;

        CountingInputStream(InputStream in) {
            super(in);
        }

        @Override
        public int read() throws IOException {
            int b = super.read();
            count += b < 0 ? 0 : 1;
            return b;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            int n = super.read(buffer, offset, length);
            count += Math.max(0, n);
            return n;
        }

        @Override
        public long skip(long wanted) throws IOException {
            long n = super.skip(wanted);
            count += n;
            return n;
        }
    }
}
