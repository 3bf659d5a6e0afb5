package dev.cube.guest;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.cube.guest.ProcessEvent.Stream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The agent as PID 1 of a real guest. */
@Timeout(180)
class GuestIT {
    @TempDir
    private static Path directory;
    private static TestVm vm;
    private static AgentConnection agent;

    @BeforeAll
    static void boot() throws IOException, InterruptedException {
        assumeTrue(TestVm.possible(), "needs QEMU, and the guest kernel in -Dcube.artifacts");
        vm = TestVm.boot(directory);
        agent = vm.connect(new Epoch.Restored("first", Map.of("SANDBOX", "first")));
    }

    @AfterAll
    static void end() {
        if (agent != null) {
            agent.close();
        }
        if (vm != null) {
            vm.close();
        }
    }

    private static ProcessSpec spec(String user, String script) {
        return new ProcessSpec("sh", List.of("-c", script), Map.of(), Optional.empty(), user, Optional.empty(),
                Optional.empty(), false);
    }

    private static String run(String user, String script) {
        try (GuestProcess process = agent.start(spec(user, script))) {
            var output = new ByteArrayOutputStream();
            while (process.next() instanceof ProcessEvent.Output(Stream _, byte[] data)) {
                output.writeBytes(data);
            }
            return output.toString(UTF_8);
        }
    }

    @Test
    void processesRunAsTheirUserWithItsGroupsAndHome() {
        assertThat(run("user", "id; pwd; echo $HOME $SHELL $SANDBOX")).isEqualTo("""
                uid=1000(user) gid=1000(user) groups=1000(user),27(sudo),44(video)
                /home/user
                /home/user /bin/bash first
                """);
        assertThat(run("root", "id -u; pwd")).isEqualTo("0\n/root\n");
    }

    @Test
    void theGuestsFilesystemsAreThere() {
        assertThat(run("user", "cat /proc/mounts")).contains("overlay / overlay rw", "proc /proc proc",
                "sysfs /sys sysfs", "devpts /dev/pts devpts", "tmpfs /dev/shm tmpfs", "tmpfs /run tmpfs",
                "cgroup2 /sys/fs/cgroup cgroup2");
        assertThat(run("user", "ls -ld /tmp /dev/fd /dev/shm")).contains("drwxrwxrwt", "/dev/fd -> /proc/self/fd");
    }

    @Test
    void theAgentIsHardToHarm() {
        assertThat(run("root", "kill -9 1; kill -STOP 1; cat /proc/1/oom_score_adj /proc/self/oom_score_adj"))
                .isEqualTo("-1000\n100\n");
        assertThat(agent.user("root").uid()).isZero();
    }

    @Test
    void orphansAreReaped() {
        String pid = run("user", "sh -c 'sleep 0.2 >/dev/null 2>&1 & echo $!'").strip();
        assertThat(run("user", "while [ -d /proc/" + pid + " ]; do sleep 0.05; done; echo gone")).isEqualTo("gone\n");
    }

    @Test
    void anEpochGivesANewIdentityAndTheClock() throws IOException, InterruptedException {
        String identity = "cat /proc/sys/kernel/hostname /proc/sys/kernel/random/boot_id /etc/hostname /etc/machine-id;"
                + " head -c 16 /run/cube/epoch | od -An -tx1 2>/dev/null";
        run("root", "date -s '2001-01-01' >/dev/null");
        String before = run("user", identity);
        agent.close();
        agent = vm.connect(new Epoch.Restored("second", Map.of("SANDBOX", "second")));
        String after = run("user", identity);
        assertThat(before.lines()).doesNotContainAnyElementsOf(after.lines().toList());
        assertThat(after).startsWith("second\n");
        assertThat(run("user", "cat /etc/hosts"))
                .isEqualTo("127.0.1.1\tsecond\n127.0.0.1\tlocalhost\n10.1.2.3\tmine\n");
        long millisBefore = System.currentTimeMillis();
        long guestMillis = Long.parseLong(run("user", "date +%s%3N").strip());
        long millisAfter = System.currentTimeMillis();
        // The guest is behind by as long as the message took, which a busy host may let lie.
        assertThat(guestMillis).isBetween(millisBefore - 5000, millisAfter + 50);
        agent.close();
        agent = vm.connect(new Epoch.Restored("first", Map.of("SANDBOX", "first")));
    }

    @Test
    void terminalsWork() {
        var spec = new ProcessSpec("bash", List.of("--norc"), Map.of("TERM", "dumb"), Optional.of("/"), "user",
                Optional.empty(), Optional.of(new ProcessSpec.PtySize(90, 20)), false);
        try (GuestProcess process = agent.start(spec)) {
            byte[] input = "stty size; touch /tmp/pty && echo made; exit 4\n".getBytes(UTF_8);
            process.write(input, 0, input.length);
            var output = new ByteArrayOutputStream();
            while (true) {
                switch (process.next()) {
                    case ProcessEvent.Output(Stream stream, byte[] data) -> {
                        assertThat(stream).isEqualTo(Stream.PTY);
                        output.writeBytes(data);
                    }
                    case ProcessEvent.Exited exited -> {
                        assertThat(exited.exitCode()).isEqualTo(4);
                        assertThat(output.toString(UTF_8)).contains("20 90\r\n", "made\r\n")
                                .doesNotContain("no job control");
                        return;
                    }
                }
            }
        }
    }

    @Test
    void filesBelongToTheirUser() throws IOException {
        byte[] content = new byte[2_000_000];
        new Random(4).nextBytes(content);
        try (GuestFileWriter writer = agent.write("/home/user/made/here/file", "user", Optional.of(0640))) {
            writer.write(content, 0, content.length);
            FileInfo info = writer.commit();
            assertThat(info).extracting(FileInfo::owner, FileInfo::group, FileInfo::mode)
                    .containsExactly("user", "user", 0640);
        }
        assertThat(agent.stat("/home/user/made").owner()).isEqualTo("user");
        try (GuestFileReader reader = agent.read("/home/user/made/here/file")) {
            assertThat(reader.input().readAllBytes()).isEqualTo(content);
        }
        assertThat(agent.move("/usr/lib/x86_64-linux-gnu/perl-base/IO", "/tmp/IO", "user").path()).isEqualTo("/tmp/IO");
        assertThat(agent.list("/tmp/IO", 2)).extracting(FileInfo::name).contains("Handle.pm");
        agent.remove("/tmp/IO");
        agent.remove("/home/user/made");
        assertThat(agent.list("/home/user", 1)).isEmpty();
    }

    @Test
    void theDefaultUserIsTheImages() {
        assertThat(agent.user("").name()).isEqualTo("user");
        assertThat(run("", "id -un; pwd")).isEqualTo("user\n/home/user\n");
        run("root", "mv /etc/passwd /etc/passwd.old; echo root:x:0:0:root:/root:/bin/sh >/etc/passwd");
        assertThat(agent.user("").name()).isEqualTo("root");
        assertThat(run("", "id -u; pwd")).isEqualTo("0\n/root\n");
        run("root", "mv /etc/passwd.old /etc/passwd");
        assertThat(agent.user("").name()).isEqualTo("user");
    }

    @Test
    void theImagesDirectoriesAreWatchedAndItsFilesTakeMetadata() {
        String directory = "/usr/lib/x86_64-linux-gnu/perl-base";
        try (GuestWatcher watcher = agent.watch(directory, Set.of(GuestWatcher.Option.RECURSIVE))) {
            run("root", "mv " + directory + "/File " + directory + "/Moved; echo x >>" + directory + "/Moved/Spec.pm");
            Map<String, String> metadata = Map.of("author", "somebody");
            try (GuestFileWriter writer = agent.write(directory + "/strict.pm", "user", Optional.empty(), metadata)) {
                writer.commit();
            }
            assertThat(agent.stat(directory + "/strict.pm").metadata()).isEqualTo(metadata);
            assertThat(watcher.next(Duration.ofSeconds(20)))
                    .filteredOn(event -> event.type() != FileEvent.Type.CHMOD)
                    .extracting(event -> event.type() + " " + event.name())
                    .contains("RENAME File", "CREATE Moved", "WRITE Moved/Spec.pm", "WRITE strict.pm");
        }
    }

    @Test
    void aFullDiskIsReported() {
        try (GuestFileWriter writer = agent.write("/root/large", "root", Optional.empty())) {
            byte[] part = new byte[1 << 20];
            assertThatThrownBy(() -> {
                for (int i = 0; i < 1000; i++) {
                    writer.write(part, 0, part.length);
                }
                writer.commit();
            }).isInstanceOf(GuestException.class).hasMessageContaining("No space left");
        }
    }

    @Test
    void portsAreReached() throws IOException {
        String server = "use IO::Socket; $s = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1:8000');"
                + " $| = 1; print 'ready'; $c = $s->accept; while (<$c>) { print $c uc }";
        var spec = new ProcessSpec("perl", List.of("-e", server), Map.of(), Optional.empty(), "user", Optional.empty(),
                Optional.empty(), false);
        try (GuestProcess process = agent.start(spec)) {
            assertThat(process.next()).isInstanceOf(ProcessEvent.Output.class);
            try (GuestStream stream = agent.connect(8000)) {
                stream.output().write("shout\n".getBytes(UTF_8));
                stream.output().close();
                assertThat(new String(stream.input().readAllBytes(), UTF_8)).isEqualTo("SHOUT\n");
            }
        }
    }

    @Test
    void metricsAreTheGuests() {
        GuestMetrics metrics = agent.metrics();
        assertThat(metrics.cpuCount()).isEqualTo(2);
        assertThat(metrics.memoryTotalBytes()).isCloseTo(384L << 20, within(100L << 20));
        assertThat(metrics.diskTotalBytes()).isLessThan(512L << 20);
    }

    @Test
    void figures() throws IOException {
        long best = Long.MAX_VALUE;
        long bestTrue = Long.MAX_VALUE;
        for (int i = 0; i < 20; i++) {
            long begin = System.nanoTime();
            agent.user("root");
            best = Math.min(best, System.nanoTime() - begin);
            begin = System.nanoTime();
            try (GuestProcess process = agent.start(new ProcessSpec("/bin/true", List.of(), Map.of(), Optional.empty(),
                    "user", Optional.empty(), Optional.empty(), false))) {
                assertThat(process.next()).isEqualTo(new ProcessEvent.Exited(0, 0));
            }
            bestTrue = Math.min(bestTrue, System.nanoTime() - begin);
        }
        long begin = System.nanoTime();
        long bytes = 0;
        try (GuestProcess process = agent.start(spec("user", "head -c 104857600 /dev/zero"))) {
            while (process.next() instanceof ProcessEvent.Output(Stream _, byte[] data)) {
                bytes += data.length;
            }
        }
        assertThat(bytes).isEqualTo(104_857_600);
        long output = System.nanoTime() - begin;
        run("root", "head -c 104857600 /dev/zero >/tmp/100m");
        begin = System.nanoTime();
        try (GuestFileReader reader = agent.read("/tmp/100m")) {
            assertThat(reader.input().readAllBytes()).hasSize(104_857_600);
        }
        long read = System.nanoTime() - begin;
        agent.remove("/tmp/100m");
        org.slf4j.LoggerFactory.getLogger(GuestIT.class).info(
                "request {} us, true {} us, 100 MiB of output {} ms, 100 MiB of file {} ms",
                TimeUnit.NANOSECONDS.toMicros(best), TimeUnit.NANOSECONDS.toMicros(bestTrue),
                TimeUnit.NANOSECONDS.toMillis(output), TimeUnit.NANOSECONDS.toMillis(read));
    }
}
