package dev.cube.image;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

/**
 * Makes ext4 file systems in sparse files with {@code mke2fs}. There is no journal: the base disk is never written, and a
 * sandbox's writable disk is captured or thrown away together with the memory that holds what was not yet written to it.
 * Nor are there metadata checksums, which a guest under software emulation would compute at 16 times the usual cost.
 */
final class Ext4 {
    static final int BLOCK_SIZE = 4096;
    private static final int INODE_SIZE = 256;
    private static final int BLOCKS_PER_GROUP = 8 * BLOCK_SIZE;
    private static final int RESERVED_INODES = 11;
    private static final int INLINE_LINK_SIZE = 60;
    private static final int SLACK_BLOCKS = 1024;
    private static final int ATTEMPTS = 4;
    /** Turns off what mke2fs.conf turns on; all of the rest is readable by Linux 3.7 and later. */
    private static final String FEATURES = "none,ext_attr,dir_index,filetype,extent,flex_bg,sparse_super,large_file,"
            + "huge_file,uninit_bg,dir_nlink,extra_isize,64bit";

    /** Seconds since 1970 in the superblock, so that the same image makes the same disk. */
    private static final Map<String, String> FIXED_TIME = Map.of("E2FSPROGS_FAKE_TIME", "1");

    /** What a tree needs. */
    private record Extent(long blocks, long inodes) {}

    private Ext4() {}

    /** A file system of the size that the content needs, holding what is below {@code tree}. The file must not exist. */
    static void createFrom(Path tree, Path file, UUID uuid) throws IOException {
        Extent extent = measure(tree);
        long blocks = extent.blocks();
        for (int attempt = 1;; attempt++) {
            Tool.Result result = format(file, blocks, uuid,
                    List.of("-N", Long.toString(extent.inodes()), "-d", tree.toString()));
            if (result.exitCode() == 0) {
                break;
            }
            boolean tooSmall = result.output().contains("Could not allocate block");
            if (!tooSmall || attempt == ATTEMPTS) {
                throw new ImageException("mke2fs failed: " + lastLine(result.output()));
            }
            blocks += blocks / 2;
        }
        // mke2fs always makes this directory, and a sandbox should see the image's files only.
        Tool.Result removal = Tool.run(FIXED_TIME, "debugfs", "e2fsprogs",
                List.of("-w", "-R", "rmdir lost+found", file.toString()));
        if (removal.exitCode() != 0) {
            throw new ImageException("debugfs failed: " + lastLine(removal.output()));
        }
        sync(file);
    }

    /** An empty file system. The file must not exist. */
    static void createEmpty(Path file, long bytes, UUID uuid) throws IOException {
        Tool.Result result = format(file, bytes / BLOCK_SIZE, uuid, List.of());
        if (result.exitCode() != 0) {
            throw new ImageException("mke2fs failed: " + lastLine(result.output()));
        }
        // Otherwise every guest's kernel would zero the inode tables in the background, which the overlay reads as zero.
        Tool.Result tuning = Tool.run(FIXED_TIME, "tune2fs", "e2fsprogs",
                List.of("-E", "mount_opts=noinit_itable", file.toString()));
        if (tuning.exitCode() != 0) {
            throw new ImageException("tune2fs failed: " + lastLine(tuning.output()));
        }
        sync(file);
    }

    private static Tool.Result format(Path file, long blocks, UUID uuid, List<String> more) throws IOException {
        Files.deleteIfExists(file);
        List<String> arguments = new ArrayList<>(List.of("-q", "-F", "-t", "ext4", "-b", "" + BLOCK_SIZE,
                "-I", "" + INODE_SIZE, "-m", "0", "-e", "remount-ro", "-O", FEATURES, "-U", uuid.toString(),
                "-E", "lazy_itable_init=1,packed_meta_blocks=1,root_owner=0:0,hash_seed=" + uuid));
        arguments.addAll(more);
        arguments.add(file.toString());
        arguments.add(Long.toString(blocks));
        return Tool.run(FIXED_TIME, "mke2fs", "e2fsprogs", arguments);
    }

    private static Extent measure(Path tree) throws IOException {
        Counter counter = new Counter();
        int exitCode = Tool.run(Map.of(), "find", "findutils",
                List.of(tree.toString(), "-printf", "%i %n %y %s %b\\n"), counter::add);
        if (exitCode != 0) {
            throw new ImageException("find failed on the unpacked image");
        }
        long inodes = counter.inodes + counter.inodes / 64 + RESERVED_INODES + 16;
        long content = counter.blocks + inodes * INODE_SIZE / BLOCK_SIZE + 1;
        long groups = content / BLOCKS_PER_GROUP + 2;
        return new Extent(content + groups * 4 + content / 50 + SLACK_BLOCKS, inodes);
    }

    private static final class Counter {
        private final Set<Long> linked = new HashSet<>();
        private long blocks;
        private long inodes;

        /** Inode, links, type, size in bytes and in blocks of 512 bytes. */
        void add(String line) {
            String[] fields = line.split(" ");
            if (!fields[2].equals("d") && !fields[1].equals("1") && !linked.add(Long.parseLong(fields[0]))) {
                return;
            }
            inodes++;
            long size = Long.parseLong(fields[3]);
            long full = (size + BLOCK_SIZE - 1) / BLOCK_SIZE;
            blocks += switch (fields[2]) {
                case "f" -> Math.min(full, Long.parseLong(fields[4]) / 8 + 1) + full / 10_000;
                case "d" -> Math.max(full, 1);
                case "l" -> size < INLINE_LINK_SIZE ? 0 : 1;
                default -> 0;
            };
        }
    }

    private static void sync(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.force(true);
        }
    }

    private static String lastLine(String output) {
        return output.isEmpty() ? "without a message" : output.substring(output.lastIndexOf('\n') + 1);
    }
}
