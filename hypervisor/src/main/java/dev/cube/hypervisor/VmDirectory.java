package dev.cube.hypervisor;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;

/**
 * The directory of one VM.
 *
 * @param path what the VM has on disk; QEMU's working directory
 * @param run  what is of no use once the machine has ended; the same where there is no place in memory for it
 */
record VmDirectory(Path path, Path run) {
    /** Characters of a VM's ID. */
    static final int ID_LENGTH = 16;
    /** Longest path of a unix socket: {@code sun_path} has 108 bytes with the final zero. */
    static final int MAX_SOCKET_PATH = 107;
    static final String LONGEST_SOCKET = "control.sock";
    /** Less free than this is none for who wants to write a page of memory. */
    private static final long FULL_DISK_BYTES = 1 << 20;
    private static final int DELETE_ATTEMPTS = 10;

    String id() {
        return path.getFileName().toString();
    }

    Path qmpSocket() {
        return run.resolve("qmp.sock");
    }

    Path controlSocket() {
        return run.resolve(LONGEST_SOCKET);
    }

    Path agentSocket() {
        return run.resolve("agent.sock");
    }

    /** What QEMU's memory backend maps: all of a booted VM's memory, and nothing of any other's. */
    Path memory() {
        return path.resolve("memory");
    }

    Path log() {
        return run.resolve("qemu.log");
    }

    /**
     * A VM's own overlay. Its name is the same in a fork's directory, so that a QEMU that was forked, and opens it anew, finds its
     * own.
     */
    Path overlay(int number) {
        return path.resolve("disk-" + number);
    }

    /** Another name of an overlay that is frozen: layers of several VMs meet in the directory of an image. */
    Path frozenOverlay(int number) {
        return path.resolve("disk-" + id() + "-" + number);
    }

    /** Written when the VM runs: see {@link VmRecord}. */
    Path vmRecord() {
        return run.resolve("vm.json");
    }

    /**
     * The last of what QEMU and the library printed, on one line. A full disk is named instead of QEMU, which has its
     * memory in a file, and dies of SIGBUS there without a word.
     */
    String lastWords() {
        try {
            byte[] bytes = Files.readAllBytes(log());
            int from = Math.max(0, bytes.length - 1000);
            String words = new String(bytes, from, bytes.length - from, StandardCharsets.UTF_8).strip()
                    .replaceAll("\\s*\\R\\s*", "; ");
            if (!isDiskFull()) {
                return words;
            }
            return (words.isEmpty() ? "" : words + "; ") + path.getParent() + ": No space left on device";
        } catch (IOException e) {
            return "";
        }
    }

    boolean isDiskFull() throws IOException {
        return Files.getFileStore(path).getUsableSpace() < FULL_DISK_BYTES;
    }

    void delete() {
        deleteTree(path);
        deleteTree(run);
    }

    /** Who works there may put a file into it once more before noticing that it is being removed. */
    static void deleteTree(Path root) {
        for (int attempt = 1;; attempt++) {
            try {
                deleteOnce(root);
                return;
            } catch (IOException e) {
                if (!(e instanceof DirectoryNotEmptyException) || attempt == DELETE_ATTEMPTS) {
                    throw new UncheckedIOException("cannot remove " + root, e);
                }
            }
        }
    }

    private static void deleteOnce(Path root) throws IOException {
        Files.walkFileTree(root, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.deleteIfExists(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFileFailed(Path file, IOException e) throws IOException {
                if (e instanceof NoSuchFileException) {
                    return FileVisitResult.CONTINUE;
                }
                throw e;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path directory, IOException e) throws IOException {
                if (e != null) {
                    throw e;
                }
                Files.deleteIfExists(directory);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
