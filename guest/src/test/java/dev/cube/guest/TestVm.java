package dev.cube.guest;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A plain QEMU with the agent's initramfs and a small root filesystem made of this machine's own programs. */
final class TestVm implements AutoCloseable {
    /** Has {@code vmlinux} and {@code modules}, as the launcher lays them out. */
    static final Path ARTIFACTS = Path.of(System.getProperty("cube.artifacts", "/var/lib/cube/artifacts"));
    private static final List<String> PROGRAMS = List.of("sh", "bash", "cat", "env", "head", "id", "stty", "sleep", "true",
            "touch", "wc", "perl", "date", "ls", "mkdir", "mv", "yes");
    private static final String PASSWD = """
            root:x:0:0:root:/root:/bin/sh
            user:x:1000:1000:A User:/home/user:/bin/bash
            """;
    private static final String GROUP = "root:x:0:\nsudo:x:27:user\nuser:x:1000:\nvideo:x:44:other,user\n";

    private final Path directory;
    private final Process qemu;

    private TestVm(Path directory, Process qemu) {
        this.directory = directory;
        this.qemu = qemu;
    }

    static boolean possible() {
        return Files.exists(ARTIFACTS.resolve("vmlinux")) && Files.exists(Path.of("/usr/bin/qemu-system-x86_64"));
    }

    static TestVm boot(Path directory) throws IOException, InterruptedException {
        run("make", "-s", "-C", "src/main/c", "OUT=" + directory.resolve("build"), "MODULES_DIR=" + ARTIFACTS.resolve(
                "modules"));
        disk(directory, rootFilesystem(directory.resolve("root")), "base.ext4", "128M");
        disk(directory, Files.createDirectories(directory.resolve("empty")), "writable.ext4", "512M");
        Process qemu = new ProcessBuilder("qemu-system-x86_64", "-M",
                "microvm,rtc=on,x-option-roms=off,isa-serial=off", "-accel", "tcg", "-cpu", "max", "-m", "384", "-smp",
                "2", "-kernel", ARTIFACTS.resolve("vmlinux").toString(), "-initrd",
                directory.resolve("build/initramfs.cpio").toString(), "-nodefaults", "-no-user-config", "-display",
                "none", "-no-reboot", "-append", "console=hvc0 reboot=t panic=1 quiet tsc=reliable no_timer_check "
                + "mitigations=off tsc_early_khz=" + tscKilohertz(),
                "-drive", "id=a,file=%s/base.ext4,format=raw,if=none,readonly=on".formatted(directory), "-device",
                "virtio-blk-device,drive=a",
                "-drive", "id=b,file=%s/writable.ext4,format=raw,if=none".formatted(directory), "-device",
                "virtio-blk-device,drive=b",
                "-device", "virtio-serial-device", "-chardev", "file,id=c,path=%s/console".formatted(directory),
                "-device", "virtconsole,chardev=c",
                "-chardev", "socket,id=p,path=%s/agent.sock,server=on,wait=off".formatted(directory), "-device",
                "virtserialport,chardev=p,name=dev.cube.agent")
                .redirectErrorStream(true).redirectOutput(directory.resolve("qemu.log").toFile()).start();
        return new TestVm(directory, qemu);
    }

    private static String tscKilohertz() throws IOException {
        return Files.readAllLines(Path.of("/proc/cpuinfo")).stream().filter(line -> line.startsWith("cpu MHz"))
                .map(line -> line.replaceAll("[^0-9]", "")).findFirst().orElseThrow();
    }

    private static Path rootFilesystem(Path root) throws IOException, InterruptedException {
        for (String name : List.of("usr/bin", "usr/lib", "etc", "root", "home/user", "tmp", "proc", "sys", "dev", "run")) {
            Files.createDirectories(root.resolve(name));
        }
        for (String name : List.of("bin", "lib", "lib64")) {
            Files.createDirectories(root.resolve("usr").resolve(name));
            Files.createSymbolicLink(root.resolve(name), Path.of("usr", name));
        }
        var files = new TreeSet<String>();
        for (String program : PROGRAMS) {
            files.add("/usr/bin/" + program);
            files.addAll(output("ldd", "/usr/bin/" + program).lines().flatMap(line -> Stream.of(line.split("\\s+")))
                    .filter(word -> word.startsWith("/")).toList());
        }
        for (String file : files) {
            Path to = root.resolve(file.substring(1));
            Files.createDirectories(to.getParent());
            Files.copy(Path.of(file), to, StandardCopyOption.REPLACE_EXISTING);
        }
        run("cp", "-r", "--parents", "/usr/lib/x86_64-linux-gnu/perl-base", root.toString());
        run("chmod", "1777", root.resolve("tmp").toString());
        Files.writeString(root.resolve("etc/passwd"), PASSWD);
        Files.writeString(root.resolve("etc/group"), GROUP);
        Files.writeString(root.resolve("etc/hosts"), "127.0.0.1\tlocalhost\n10.1.2.3\tmine\n");
        return root;
    }

    private static void disk(Path directory, Path content, String name, String size) throws IOException,
            InterruptedException {
        run("/sbin/mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", content.toString(),
                directory.resolve(name).toString(), size);
    }

    private static void run(String... command) throws IOException, InterruptedException {
        output(command);
    }

    private static String output(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        if (process.waitFor() != 0) {
            throw new IOException("%s failed: %s".formatted(command[0], output));
        }
        return output;
    }

    AgentConnection connect(Epoch epoch) throws InterruptedException, IOException {
        Path socket = directory.resolve("agent.sock");
        while (!Files.exists(socket) && qemu.isAlive()) {
            TimeUnit.MILLISECONDS.sleep(2);
        }
        try {
            return AgentConnection.open(socket, epoch, Duration.ofSeconds(60));
        } catch (GuestException e) {
            throw new IOException("%s; console: %s; QEMU: %s".formatted(e.getMessage(),
                    new ArrayList<>(Files.readAllLines(directory.resolve("console"))),
                    Files.readString(directory.resolve("qemu.log"))), e);
        }
    }

    @Override
    public void close() {
        qemu.destroyForcibly();
        try {
            qemu.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
